# For scripts that root runs: a program as an ordinary user, whom the host knows only in that program's eyes.

# as_user IDS HOME COMMAND…: IDS are lines of /etc/subuid, or nothing.
as_user() {
    local ids=$1 home=$2 accounts
    shift 2
    accounts=$(mktemp -d)
    chmod 755 "$accounts"
    { cat /etc/passwd; echo "builder:x:45678:45678::$home:/bin/sh"; } > "$accounts/passwd"
    printf '%s' "$ids" > "$accounts/sub"
    local code=0
    unshare --mount sh -ec '
        mount --bind "$1/passwd" /etc/passwd
        for file in subuid subgid; do mount --bind "$1/sub" /etc/$file; done
        export HOME="$2"; cd "$2"; shift 2
        exec setpriv --reuid=45678 --regid=45678 --clear-groups --inh-caps=-all -- "$@"' \
        sh "$accounts" "$home" "$@" || code=$?
    rm -rf "$accounts"
    return "$code"
}
with_ids=$'builder:3000000:65536\n'
