# Names that lead elsewhere, or end somewhere, for whoever is careless.
# ends: done
cd /out
echo 1 >'..\..\x'
echo 2 >'-rf'
echo 3 >"$(printf 'line\nbreak')"
echo 4 >"$(printf '\033[2Jx')"
echo 5 >'%2e%2e%2fx'
echo 6 >A
echo 7 >a
