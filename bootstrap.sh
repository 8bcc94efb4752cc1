#!/bin/sh
# Makes .venv with the very packages of requirements.lock and this checkout in it; does nothing where that is done already.
# Safe to interrupt (what is downloaded stays in the cache), to repeat, and to start twice at once.
# Needs git and a Python of 3.11 to 3.14. Where uv is not on PATH, Python's own venv and pip bring a pinned one into .venv.
#   ./bootstrap.sh        make the environment
#   ./bootstrap.sh uv     only print where a uv is, for `make lock`
set -eu
cd "$(dirname "$0")"

UV_PIN='uv==0.13.8'
HERE=$(pwd -P)
STATE=.venv/relume.state # `unfinished` while packages are laid down, then what `wanted` says
# An activated .venv must not be taken for the Python to make it from.
PATH=$(printf '%s' "$PATH" | tr ':' '\n' | grep -vxF "$HERE/.venv/bin" | paste -sd: -)

say() { printf '%s\n' "relume: $*" >&2; }
stop() {
    say "$*"
    exit 1
}

wanted() { printf '%s %s\n' "$(cat requirements.lock pyproject.toml bootstrap.sh | git hash-object --stdin)" "$HERE"; }
state() { cat "$STATE" 2>/dev/null || echo none; }
ready() { [ "$(state)" = "$(wanted)" ] && suits .venv/bin/python; }
suits() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null; }
uv_on_path() { uv --version >/dev/null 2>&1; } # run, not only found: a shim may stand for nothing

# 3.11 first: a few pins differ from one Python to the next, and colleagues should have the same.
find_python() {
    choices=${PYTHON:-python3.11 python3.12 python3.13 python3.14 python3}
    for name in $choices; do
        if suits "$name"; then
            command -v "$name"
            return
        fi
    done
    stop "a Python of 3.11 to 3.14 is needed; tried: $choices. Install one, or name it: make PYTHON=/path/to/python3.11 …"
}

make_venv() {
    python=$(find_python)
    if uv_on_path; then
        uv venv --quiet --allow-existing --python "$python" .venv
    else
        "$python" -m venv .venv || stop "$python makes no environments: install its venv package (on Debian: python3-venv), or uv"
    fi
}

find_uv() {
    if [ ! -x .venv/bin/uv ] && uv_on_path; then
        command -v uv
        return
    fi
    if [ ! -x .venv/bin/uv ]; then
        [ -x .venv/bin/python ] || make_venv
        .venv/bin/python -m pip --version >/dev/null 2>&1 || .venv/bin/python -m ensurepip >/dev/null
        .venv/bin/python -m pip install --quiet --disable-pip-version-check "$UV_PIN" >&2 || stop "pip could not install $UV_PIN: see above"
    fi
    echo .venv/bin/uv
}

# Half-laid packages may look whole, and scripts name the folder that they were made for: such a tree is not mended but emptied.
spoilt() {
    case $(state) in
    none | *" $HERE") ! suits .venv/bin/python ;;
    *) true ;;
    esac
}

install() {
    if spoilt; then
        find_python >/dev/null # before anything is thrown away
        echo unfinished >"$STATE"
        find .venv -mindepth 1 -maxdepth 1 ! -name 'relume.*' -exec rm -rf {} +
    fi
    echo unfinished >"$STATE"
    [ -x .venv/bin/python ] || make_venv
    uv=$(find_uv)
    say "installing the pinned packages into .venv (about a minute from the cache, several where they must be downloaded)"
    # The lock is complete, so nothing is resolved; setuptools is in it, so building this checkout fetches nothing more.
    "$uv" pip install --python .venv/bin/python --no-deps --compile-bytecode -r requirements.lock
    "$uv" pip install --python .venv/bin/python --no-deps --no-build-isolation --quiet -e .
    wanted >"$STATE.part"
    mv "$STATE.part" "$STATE"
}

command -v git >/dev/null || stop "git is needed, and is not on PATH"
export UV_HTTP_TIMEOUT="${UV_HTTP_TIMEOUT:-300}"
if [ "${1-}" = uv ]; then
    find_uv
    exit
fi
if ready; then exit; fi
mkdir -p .venv
if command -v flock >/dev/null; then
    exec 9>.venv/relume.lock
    flock -n 9 || { say "another installation runs in this folder: waiting for it" && flock 9; }
    if ready; then exit; fi
fi
install
