@echo -off
# A VMM that answers RETRY to MapGPA and makes no progress: firmware continues twice and fails the third time.
td new -memory 2G -accept 1G
echo === converted and back
share 512M 4M
sept 512M 4M
share -private 512M 4M
echo === two RETRY
fault mapgpa:1-2=RETRY
share 512M 4M
echo === three RETRY
fault mapgpa:1-3=RETRY
share 768M 4M
echo lasterror %lasterror%
