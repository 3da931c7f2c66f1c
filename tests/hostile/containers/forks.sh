# A fork bomb: it stays within its number of processes.
# ends: deadline, user
b() { b | b & }
b
sleep 100
