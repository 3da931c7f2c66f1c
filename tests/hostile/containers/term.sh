# Does not end when it is asked to.
# ends: deadline
# says: 1s
trap '' TERM INT HUP
while :; do sleep 1; done
