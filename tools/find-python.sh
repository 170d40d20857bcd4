# Prints the first Python >= 3.11 there is. PYTHON in the environment wins.
# It runs each candidate, since a name on PATH may be a version manager's empty promise.
recent='import sys; sys.exit(sys.version_info < (3, 11))'

for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.14}; do
    found=$(command -v "$candidate" 2>/dev/null) || continue
    if "$found" -c "$recent" >/dev/null 2>&1; then
        printf '%s\n' "$found"
        exit 0
    fi
done

if [ -n "$PYTHON" ]; then
    echo "Heliostat needs Python 3.11 or newer, and PYTHON=$PYTHON is none." >&2
else
    echo "Heliostat needs Python 3.11 or newer, and no python3, python3.11, python3.12 or python3.13 here is one." \
        "On Debian or Ubuntu: apt install python3 python3-venv; or name yours: make demo PYTHON=/path/to/python3" >&2
fi
exit 1
