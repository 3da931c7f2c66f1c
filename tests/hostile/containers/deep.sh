# Folders within folders until their path is longer than the kernel takes.
# ends: user
# says: deeper than
cd /out
name=xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
i=0
while [ $i -lt 100 ]; do
  i=$((i + 1))
  mkdir $name && cd -P $name || exit 0
done
