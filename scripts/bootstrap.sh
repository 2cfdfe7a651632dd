# Sourced by scripts/test and scripts/demo: makes the checkout's own .venv, or brings it up to date with setup.cfg,
# and clears what another Spark or Python on this machine would put in the way.  Registry settings (PIP_*) are kept.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

for name in $(compgen -e); do
    case $name in PYTHONPATH | PYTHONHOME | VIRTUAL_ENV | SPARK_* | PYSPARK_* | HADOOP_*) unset "$name" ;; esac
done

say() { printf '%s\n' "$*" >&2; }

find_python() {
    local candidate
    for candidate in python3 python3.13 python3.12 python3.11 python3.10; do
        if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    say "No Python 3.10 or newer with its venv module among python3, python3.13 ... python3.10 on the PATH." \
        "Install one (on Debian and Ubuntu: apt install python3 python3-venv) and run this again."
    return 1
}

# A line that shows that it goes on; ends by itself if this script is killed.
show_growth() {
    while sleep 1 && kill -0 $$ 2>/dev/null; do
        [ ! -t 2 ] || printf '\r  %s MB installed' "$(du -sm .venv 2>/dev/null | cut -f1)" >&2
    done
}

install() {
    local python growth status=0
    say "Installing the project and its dependencies into .venv (500 MB, some minutes the first time)"
    if ! .venv/bin/python -c pass 2>/dev/null; then
        python=$(find_python)
        "$python" -m venv --clear .venv
    fi
    .venv/bin/python -m pip --version >/dev/null 2>&1 || .venv/bin/python -m ensurepip >/dev/null
    show_growth &
    growth=$!
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[test]' || status=$?
    { kill "$growth" && wait "$growth"; } 2>/dev/null || true
    if [ -t 2 ]; then printf '\r%30s\r' '' >&2; fi
    return "$status"
}

wanted=$(cksum setup.cfg setup.py scripts/*.py)  # the scripts too: an editable install copies them to .venv/bin
up_to_date() { [ "$(cat .venv/installed-from 2>/dev/null)" = "$wanted" ] && .venv/bin/python -c pass 2>/dev/null; }

if ! up_to_date; then
    exec 9>.venv.lock
    if command -v flock >/dev/null; then flock 9; fi
    if ! up_to_date; then
        install
        printf '%s\n' "$wanted" >.venv/installed-from
    fi
    exec 9>&-
fi

# A venv's spark-submit works only with the venv first on the PATH; executors run python3 of the PATH unless told.
export PATH="$root/.venv/bin:$PATH"
export PYSPARK_PYTHON="$root/.venv/bin/python" PYSPARK_DRIVER_PYTHON="$root/.venv/bin/python"

# Java 17 or 21, the machine's or one of our own; separate, because the unit tests need none.
need_java() {
    JAVA_HOME=$(PYTHONPATH="$root/scripts" python -m servers.jvm)
    export JAVA_HOME PATH="$JAVA_HOME/bin:$PATH"
}
