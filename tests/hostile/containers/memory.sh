# ends: user
# says: memory
x=xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
while :; do x=$x$x; done
