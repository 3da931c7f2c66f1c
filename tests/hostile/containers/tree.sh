# More files than an output may have, all of them empty.
# ends: user, deadline
# says: output, 1s
i=0
while :; do
  i=$((i + 1))
  mkdir "/out/$i"
  (cd "/out/$i" && seq -f %g 1000 | xargs touch)
done
