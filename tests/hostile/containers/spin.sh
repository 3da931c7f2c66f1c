# ends: deadline
# says: 1s
while :; do :; done
