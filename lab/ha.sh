# What the scenarios of high availability share: the recipes of docs/high-availability.md put on the directors, keepalived,
# and a conversation over one long TCP connection. Sourced by them.
# shellcheck shell=bash

# The document that `put` takes files from.
document=$lab/../docs/high-availability.md

# Gives a host folders of its own for what the engines read and write at places that are fixed. All hosts see this machine's
# files otherwise.
own_files() { # HOST
    local files=$state/$1.files
    rm -rf "$files"
    mkdir -p "$files"/{etc/{keepalived,ha.d,bird,nagios4,exabgp},usr/local/sbin}
    # keepalived 2.3 does not start without what its package says about how it was built.
    [[ ! -e /etc/keepalived/keepalived.config-opts ]] || cp /etc/keepalived/keepalived.config-opts "$files/etc/keepalived/"
    : >"$state/$1.mounts"
    # shellcheck disable=SC2016  # the inner shell's variables
    unshare --mount="$state/$1.mounts" sh -c '
        cd "$1" && mount -t tmpfs tmpfs /run && mkdir /run/bird || exit
        for folder in etc/* usr/local/*; do
            [ ! -d "/$folder" ] || mount --bind "$folder" "/$folder" || exit
        done' sh "$files"
}

# A file of the document: what stands there in the block after "<!-- RECIPE: PATH -->".
recipe() { # RECIPE PATH FILE
    awk -v mark="<!-- $1: $2 -->" '
        $0 == mark { found = 1; next }
        found && /^```/ { if (inside) exit; inside = 1; next }
        inside' "$document" >"$3"
    [[ -s $3 ]] || stopped "${document##*/} has no $1: $2"
}

# Puts a file of the document on a host.
put() { # HOST RECIPE PATH [MODE]
    local file=$state/$1.files$3
    recipe "$2" "$3" "$file"
    chmod "${4:-644}" "$file"
}

# Both directors as the recipe has them, the rules loaded, keepalived running and the VIP on the first.
two_directors() {
    local host
    build two-directors
    for host in director director2; do
        own_files "$host"
        put "$host" failover /etc/keepalived/ipvsadm.rules
        put "$host" failover /etc/keepalived/keepalived.conf
        put "$host" failover /etc/keepalived/sync-role 755
        boot "$host"
    done
    echo_server rs1
    echo_server rs2
}

# What a director does when it starts.
boot() { # HOST
    typed "$1" ipvsadm-rs -R --replace --file /etc/keepalived/ipvsadm.rules
    keepalived "$1"
    # The first to start becomes the master: the second must hear it.
    [[ $1 != director || -n ${master:-} ]] || { master=$1; wait_for 60 "the VIP on $1" is_master "$1"; }
    [[ $1 == "$master" ]] || wait_for 60 "the backup daemon on $1" daemon_runs "$1" backup
}

keepalived() { # HOST
    local command=(keepalived --dont-fork --log-console --pid /run/keepalived.pid --vrrp_pid /run/vrrp.pid)
    prompt "$1" "${command[@]}"
    start_on "$1" "${command[@]}" >>"$state/$1.keepalived" 2>&1
    # Bash would report that it was killed.
    disown "$started"
}

# As if the power went: no program of it says goodbye, and the wire is dead. The process that speaks VRRP first: when it learns that
# its parent has died it would hand the VIP over. The parent must not have time to start another one.
crash() { # HOST
    # shellcheck disable=SC2016  # the inner shell's
    typed "$1" sh -c 'kill -STOP $(cat /run/keepalived.pid); kill -9 $(cat /run/vrrp.pid /run/keepalived.pid)'
    typed "$1" ip link set eth0 down
}

# A crashed director boots: a new network namespace, because a kernel forgets its connections in no other way.
reboot() { # HOST
    declare -n mac=${1}_mac ip=${1}_ip
    on "$1" sh -c 'rm /run/vrrp.pid /run/keepalived.pid'
    ip netns del "lab-$1"
    wait_for 60 "the old $1 to be gone from the switch" unplugged "$1"
    ip -batch - <<WIRE
netns add lab-$1
link add name eth0 address $mac netns lab-$1 type veth peer name $1 netns lab-switch
WIRE
    ip -n lab-switch link set "$1" master br0 up
    { up; echo "addr add $ip/24 dev eth0"; echo "route add default via 30.30.30.254"; } | configure "$1"
    note "$1 starts again:"
    boot "$1"
}

unplugged() { # HOST
    ! ip -n lab-switch link show "$1" >/dev/null 2>&1
}

has_vip() { # HOST
    [[ $(on "$1" ip -4 -o addr show dev eth0) == *" $vip/32 "* ]]
}

daemon_runs() { # HOST master|backup
    [[ $(on "$1" ipvsadm-rs -L --daemon) == *"$2 sync daemon (mcast=eth0, syncid=1,"* ]]
}

is_master() { # HOST
    has_vip "$1" && daemon_runs "$1" master
}

# --- a long conversation ---------------------------------------------------------------------------------------------

echo_server() { # HOST
    declare -n name=${1}_name
    start_on "$1" socat TCP-LISTEN:7,fork,reuseaddr SYSTEM:"echo $name; exec cat"
    wait_for 60 "the echo server of $1" listens "$1" "$started" 7
}

# The client connects to the echo service and stays. What it says comes back, and goes through the director.
talk_begins() {
    mkfifo "$state/talk"
    : >"$state/heard"
    prompt client socat - "TCP:$vip:7"
    # shellcheck disable=SC2016  # the inner shell's variables
    start_on client sh -c 'exec socat - "TCP:$1:7" <"$2/talk" >"$2/heard" 2>&1' sh "$vip" "$state"
    talker=$started said_lines=0
    exec {talk}>"$state/talk"
    wait_for 60 "the echo service's greeting" heard_lines 1 || stopped "no connection to the echo service"
}

# Says a line and waits until it has come back.
say() { # SECONDS
    said_lines=$((said_lines + 1))
    echo "line $said_lines" >&"$talk"
    note "client says: line $said_lines"
    wait_for "$1" "line $said_lines to come back" heard_lines $((said_lines + 1)) || :
}

talk_ends() {
    # Closing its input would not do: what was started since has that open, too.
    kill "$talker"
    wait "$talker" 2>/dev/null || :
    exec {talk}>&-
    rm "$state/talk"
}

heard_lines() { # NUMBER
    mapfile -t heard <"$state/heard"
    ((${#heard[@]} >= $1))
}

# One greeting by one server, then every line in order, and the client's program never left: the same TCP connection.
talk_goes_on() {
    local i
    heard_lines 0
    evidence="${heard[0]-}: ${heard[*]:1}"
    [[ -e /proc/$talker/exe && ${heard[0]-} =~ ^($rs1_name|$rs2_name)$ ]] && ((${#heard[@]} == said_lines + 1)) || return
    for ((i = 1; i <= said_lines; i++)); do
        [[ ${heard[i]} == "line $i" ]] || return
    done
}

# The echo connection as ipvsadm-rs lists it on a host: STATE and the client's end.
knows_talk() { # HOST
    evidence=$(on "$1" ipvsadm-rs -Lnc | awk -v virtual="$vip:7" '$5 == virtual && $3 == "ESTABLISHED"')
    [[ -n $evidence ]]
}

# --- claims ----------------------------------------------------------------------------------------------------------

vip_on() { # HOST OTHER: on the first and not on the second
    evidence=$(for host in "$@"; do printf '%s: %s\n' "$host" "$(on "$host" ip -4 -o addr show dev eth0 to "$vip")"; done)
    has_vip "$1" && ! has_vip "$2"
}

# A connection is synchronised with its third packet and then with every fiftieth, so it takes some talk until it is again.
knows_again() { # HOST
    ! knows_talk "$1" || return 0
    for _ in 1 2 3 4 5 6 7 8; do say 10; done
    return 1
}

# What the backup lacks of the master's established connections of the client: lists of both, compared.
backup_lacks() { # MASTER BACKUP NUMBER
    local host list=(ipvsadm-rs -L -c --state ESTABLISHED -t "$vip:7" --json)
    for host in "$1" "$2"; do on "$host" "${list[@]}" >"$state/$host.connections"; done
    prompt "$2" ipvsadm-rs compare "$1.json" "$2.json"
    evidence=$(on "$2" ipvsadm-rs compare "$state/$1.connections" "$state/$2.connections")
    [[ $evidence == *" $3 missing there (0 to another server)" ]]
}

knows_nothing() { # HOST
    evidence=$(on "$1" ipvsadm-rs -Lnc)
    [[ $evidence != *TCP* ]]
}

# In the router's capture: what the client says goes to this host's MAC address from the time on when any of it does.
talk_passes() { # HOST
    local -n talk_mac=${1}_mac
    evidence=$(awk -v target_is="$vip.7" -v router="$router_mac" -v mac="$talk_mac" "$frames"'
        from == router && target == target_is { if (to == mac) passed++; else if (passed) astray++ }
        END { printf "capture on router: %d frames to port 7 for %s, and then %d for others\n", passed, mac, astray }' \
        "$state/router.wire")
    [[ $evidence != *": 0 frames"* && $evidence == *" and then 0 for others" ]]
}

# In the router's capture.
new_connections_to() { # PORT NUMBER
    evidence=$(awk -v target_is="$vip.$1" "$frames"'
        target == target_is && text ~ /Flags \[S\]/ { opened++ }
        target == target_is { packets++ }
        END { printf "capture on router: %d frames to port 7, %d of them open a connection\n", packets, opened }' \
        "$state/router.wire")
    [[ $evidence == *" frames to port 7, $2 of them "* && $evidence != *": 0 frames"* ]]
}

# The real servers of the VIP's service at port 80, as "ADDRESS=WEIGHT ..." in the order they are listed.
table_is() { # SERVERS
    evidence=$(on director ipvsadm-rs -Ln | awk '$1 == "->" && $2 ~ /:80$/ {
        sub(/:80$/, "", $2); printf "%s%s=%s", separator, $2, $4; separator = " " }')
    [[ $evidence == "$1" ]]
}

nothing_differs_from() { # FILE
    evidence=$(on director ipvsadm-rs diff "$1" 2>&1)
}

lacks() { # FILE RULE: of what the file has this rule is missing, and nothing else differs
    evidence=$(on director ipvsadm-rs diff "$1") || :
    [[ $evidence == "+ $2" ]]
}

has_instead() { # FILE RULE OTHER: the table has this rule where the file has the other one, and nothing else differs
    evidence=$(on director ipvsadm-rs diff "$1") || :
    [[ $evidence == "- $2"$'\n'"+ $3" ]]
}

# Stops a web server and replaces the table by one file and the other in turn, until keepalived has said that it takes the
# server out, and some more times. What the replacements said is in replacements, a line for each.
replace_until_taken_out() { # HOST FILE OTHER
    local -n server_ip=${1}_ip
    local said end=$((SECONDS + 30)) before more=10
    before=$(taken_out "$server_ip")
    note "replacing by ${2##*/} and ${3##*/} in turn"
    stop_web_server "$1" >/dev/null &
    local stopping=$!
    : >"$state/replacements"
    while ((SECONDS < end && more > 0)); do
        [[ $(taken_out "$server_ip") == "$before" ]] || more=$((more - 1))
        said=$(on director ipvsadm-rs -R --replace --file "$2" 2>&1) && said="0 $said" || said="$? $said"
        echo "${said//$'\n'/; }" >>"$state/replacements"
        set -- "$1" "$3" "$2"
    done
    wait "$stopping"
    ((more == 0)) || note "keepalived did not notice"
}

# How often keepalived has said so.
taken_out() { # ADDRESS
    grep -c "Removing service \[$1\]" "$state/director.keepalived" || :
}

each_succeeded_or_reported() {
    evidence=$(sort "$state/replacements" | uniq -c)
    [[ -s $state/replacements ]] &&
        ! grep -v -x -e '0 ' -e '1 .*another program.*' -e '1 .*keeps changing.*' "$state/replacements"
}

same_program() { # PATH
    evidence="$1: $(on director "$1" --version)"
    on director cmp "$ipvsadm" "$1"
}

stop_web_server() { # HOST
    local process
    for process in /proc/[0-9]*; do
        [[ $process/ns/net -ef /run/netns/lab-$1 ]] || continue
        [[ $(tr '\0' ' ' <"$process/cmdline") != "busybox httpd "* ]] || typed "$1" kill "${process#/proc/}"
    done
}

# Its own words begin with the time; those of a program that it called would not. Perl's warnings about ldirectord itself
# are the same whatever program it calls.
ldirectord_was_content() {
    evidence=$(
        grep -E -v '^\[[^]]*\] |^Use of uninitialized value .* at /usr/sbin/ldirectord ' "$state/ldirectord.log"
        grep -F 'failed' "$state/ldirectord.log"
        on director ipvsadm-rs -S -n
    )
    [[ -z $evidence && -s $state/ldirectord.log ]]
}
