# Values that only the program knows: it is asked, with the line up to the cursor.
function __fish_ipvsadm_rs_live
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -a words "$current"
    set -l program (string replace -r '^~/' "$HOME/" -- $words[1])
    $program __complete -- $words[2..-1] 2>/dev/null
end

# The words behind the program's name and --netns, which can stand before all else.
function __fish_ipvsadm_rs_words
    set -l words (commandline -opc)
    set -e words[1]
    while string match -q -- '--netns*' "$words[1]"
        test "$words[1]" = --netns; and set -e words[1]
        set -e words[1]
    end
    string join \n -- $words
end

# Whether nothing has been said yet.
function __fish_ipvsadm_rs_is_first
    test (count (__fish_ipvsadm_rs_words)) -eq 0
end

# Whether there is no subcommand. If there is, it is printed.
function __fish_ipvsadm_rs_needs_command
    set -l words (__fish_ipvsadm_rs_words)
    if test (count $words) -gt 0; and not string match -q -- '-*' $words[1]
        echo $words[1]
        return 1
    end
    return 0
end

# Options of ipvsadm come without operands.
complete -c ipvsadm-rs -n __fish_ipvsadm_rs_needs_command -f

function __fish_ipvsadm_rs_using_subcommand
    set -l cmd (__fish_ipvsadm_rs_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -l set -d 'Set the timeouts for TCP, TCP after FIN, and UDP, in seconds; 0 keeps one as it is' -r
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -l start-daemon -d 'Start a connection synchronisation daemon' -r -f -a "master\t''
backup\t''"
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -l stop-daemon -d 'Stop a connection synchronisation daemon' -r -f -a "master\t''
backup\t''"
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -s t -l tcp-service -d 'The virtual service: TCP to this address and port' -x -a "(__fish_ipvsadm_rs_live)"
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -s u -l udp-service -d 'The virtual service: UDP to this address and port' -x -a "(__fish_ipvsadm_rs_live)"
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -l sctp-service -d 'The virtual service: SCTP to this address and port' -x -a "(__fish_ipvsadm_rs_live)"
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -s f -l fwmark-service -d 'The virtual service: packets with this firewall mark, 1 to 4294967295' -x -a "(__fish_ipvsadm_rs_live)"
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -s s -l scheduler -d 'The scheduling method; wlc if not given' -x -a "(__fish_ipvsadm_rs_live)"
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -s p -l persistent -d 'A client stays with its real server until idle for this many seconds, 1 to 2678400; 360 if no number follows'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -s M -l netmask -d 'Clients under one mask are one client to -p: an IPv4 mask or an IPv6 prefix length' -r -f
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -l pe -d 'The persistence engine, such as sip' -r -f -a "sip\t''"
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -s b -l sched-flags -d 'Flags of the scheduler, with commas between: sh-fallback, sh-port, mh-fallback, mh-port, flag-1 to flag-3' -r -f -a "sh-fallback\t''
sh-port\t''
mh-fallback\t''
mh-port\t''
flag-1\t''
flag-2\t''
flag-3\t''"
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -s r -l real-server -d 'The real server; the service\'s port if none is given, and another one only with -m' -x -a "(__fish_ipvsadm_rs_live)"
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -s w -l weight -d 'The real server\'s share, 0 to 2147483647; 1 if not given, 0 for no new connections' -r -f
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -s x -l u-threshold -d 'No new connections for the real server while it has this many; 0: no limit' -r -f
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -s y -l l-threshold -d 'After -x was reached, new connections again below this many; 0: three quarters of -x' -r -f
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -l tun-type -d 'The kind of tunnel for -i; ipip if not given' -r -f -a "ipip\t''
gue\t''
gre\t''"
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -l tun-port -d 'The UDP port of a gue tunnel' -r -f
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -l mcast-interface -d 'The interface that the daemon multicasts on; eth0 if not given' -x -a "(__fish_ipvsadm_rs_live)"
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -l syncid -d 'Daemons with the same id, 0 to 255, talk to each other; 0 if not given' -r -f
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -l sync-maxlen -d 'The longest synchronisation message, 1 to 65507 bytes; by the interface\'s MTU if not given' -r -f
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -l mcast-group -d 'The multicast group; 224.0.0.81 if not given' -r -f
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -l mcast-port -d 'The UDP port of the group; 8848 if not given' -r -f
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -l mcast-ttl -d 'The time to live of the packets, 1 to 255; 1 if not given' -r -f
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -l color -d 'When --table and --wide have colours: auto, always or never' -r -f -a "auto\t''
always\t''
never\t''"
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -l client -d 'With -c, only connections of this client, or of all clients in this network' -r -f
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -l state -d 'With -c, only connections in this state, by the kernel\'s name of it, such as ESTABLISHED' -r -f -a "NONE\t''
ESTABLISHED\t''
SYN_SENT\t''
SYN_RECV\t''
FIN_WAIT\t''
TIME_WAIT\t''
CLOSE\t''
CLOSE_WAIT\t''
LAST_ACK\t''
LISTEN\t''
SYNACK\t''
UDP\t''
INIT1\t''
INIT\t''
COOKIE_SENT\t''
COOKIE_REPLIED\t''
COOKIE_WAIT\t''
COOKIE\t''
COOKIE_ECHOED\t''
SHUTDOWN_SENT\t''
SHUTDOWN_RECEIVED\t''
SHUTDOWN_ACK_SENT\t''
REJECTED\t''
CLOSED\t''
ASSURED\t''"
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -l origin -d 'With -c, only connections made by packets (local), or by messages for the sync daemon (sync)' -r -f -a "local\t''
sync\t''"
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -l expires-within -d 'With -c, only connections that the kernel forgets within this time if no packets come, 0 to 2678400' -r -f
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -l sort-by -d 'With -c, in order of state, server, client or expires' -r -f -a "state\t''
server\t''
client\t''
expires\t''"
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -l count-by -d 'With -c, how many connections there are of each state, server or client, or of two of these, the most first' -r -f -a "state\t''
server\t''
client\t''
server\,state\t''
server\,client\t''
client\,state\t''
client\,server\t''
state\,server\t''
state\,client\t''"
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -l only -d 'Only metrics of these names, or whose names begin so; ipvs_ can be left out' -r -f -a "service\t''
server\t''
server_weight\t''
hash_table\t''
daemon_info\t''"
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -l saved -d 'With a metric of how many changes would make the table equal to this file of rules' -r -F
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -l file -d 'With -R, read this file; with -S and with metrics, write it, as a whole or not at all' -r -F
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -l max-removals -d 'With --replace, change nothing if more services and servers would be deleted, or more percent of them' -r -f
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -l confirm -d 'With --replace, roll back unless you answer yes at the terminal within this many seconds' -r -f
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -l drain -d 'With -d, -D and -e -w 0, take weight 0 and wait until connections are gone, this many seconds at most'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -l lock-wait -d 'If another ipvsadm-rs is changing the table, wait this many seconds for it, 0 to 2678400; 60 if not given' -r -f
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -l resolve-timeout -d 'Without -n, wait this many seconds for all names together, 1 to 3600; 2 if not given' -r -f
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -l netns -d 'The table of this network namespace: a name below /run/netns or a path; anywhere on the command line' -x -a "(__fish_ipvsadm_rs_live)"
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -s A -l add-service -d 'Add a virtual service'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -s E -l edit-service -d 'Edit a virtual service: what is not given gets its default'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -s D -l delete-service -d 'Delete a virtual service with its real servers'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -s C -l clear -d 'Clear the whole table'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -s R -l restore -d 'Restore rules from standard input'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -s S -l save -d 'Save rules to standard output'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -s a -l add-server -d 'Add a real server to a virtual service'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -s e -l edit-server -d 'Edit a real server: what is not given gets its default'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -s d -l delete-server -d 'Delete a real server from a virtual service'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -s L -s l -l list -d 'List the table, one service, connections, timeouts or daemons'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -s Z -l zero -d 'Zero the counters of one service or of all'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -s h -l help -d 'Print this help'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -s v -l version -d 'Print the version'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -s 6 -l ipv6 -d 'The firewall mark is one of IPv6 packets; follows -f'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -s o -l ops -d 'One-packet scheduling, for UDP and marks: every packet is scheduled by itself'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -s g -l gatewaying -d 'Forward by direct routing (DR), the default'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -s i -l ipip -d 'Forward by tunnelling'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -s m -l masquerading -d 'Forward by masquerading (NAT)'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -l tun-nocsum -d 'No checksum in the tunnel, the default'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -l tun-csum -d 'A checksum in the tunnel (gue, gre)'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -l tun-remcsum -d 'Remote checksum offload in the tunnel (gue)'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -s n -l numeric -d 'Addresses and ports as numbers, no names looked up'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -l timeout -d 'List the timeouts'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -l daemon -d 'List the synchronisation daemons'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -l stats -d 'List counters'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -l rate -d 'List rates per second'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -l thresholds -d 'List thresholds'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -l persistent-conn -d 'List persistent connections; with -c, the persistence engine\'s data'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -l tun-info -d 'List the tunnels\' parameters'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -s X -l exact -d 'Numbers in full, not in K, M, G, T'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -l nosort -d 'In the kernel\'s order'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -l sort -d 'In order of family, protocol, address and port, marks last; always so, unless --nosort'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -s j -l json -d 'As JSON, everything that is known, as numbers; with --replace, what was changed; -v, too, takes it'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -l pretty -d 'With --json, on indented lines'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -l table -d 'As a table for reading, with shares as bars, as wide as the terminal'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -l wide -d 'As ever, but with columns as wide as what is in them, and nothing cut'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -s c -l connection -d 'List the connections'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -l prometheus -d 'As metrics in the text format of Prometheus, which node_exporter\'s textfile collector reads'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -l openmetrics -d 'As metrics in the text format of OpenMetrics 1.0'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -l all -d 'With -S, save timeouts and synchronisation daemons, too, and the order of servers of sh, mh and dh'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -l check -d 'With -R, only say what is wrong with the rules; needs neither root nor IPVS'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -l all-errors -d 'With -R, print every message about a line; otherwise after a hundred of a kind their number'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -l replace -d 'With -R, make the table equal to the rules by the fewest changes, all or none'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -l dry-run -d 'With --replace, print the changes instead of making them; status 1 if there are any'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -l keep-weights -d 'With --replace, leave the weights of the real servers that are there'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -l reorder -d 'With --replace, delete and add again the servers of sh, mh and dh that are out of order; says before what that costs'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -l keep-going -d 'With --replace, load every rule that is good; status 3 if one is not, and then nothing is deleted'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -l force -d 'With --drain, drain even if clients are refused; with --drain=SECONDS, finish even if connections are left'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_needs_command" -l no-fallback -d 'With --drain, do not set sh-fallback or mh-fallback, which spares clients of sh and mh'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_is_first" -f -a "diff" -d 'Print what differs between a file of rules and the table'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_is_first" -f -a "compare" -d 'Print the connections of a master that its backup does not have'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_is_first" -f -a "where" -d 'Print which server a client has, and which one a new connection gets'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_is_first" -f -a "monitor" -d 'Print what changes in the table, as it happens'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_is_first" -f -a "top" -d 'Show services, servers and connections live'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_is_first" -f -a "service" -d 'Load, save and clear the rules as a service does, at boot and by hand'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_is_first" -f -a "health" -d 'Print in a line whether services have what they need, for monitoring plugins and gates'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_is_first" -f -a "doctor" -d 'Report what is wrong with this director or real server, and how to fix it'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_is_first" -f -a "realserver" -d 'Make this host a real server for a VIP with direct routing, and take that back'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand diff" -l color -d 'When to colour what is printed' -r -f -a "auto\t''
always\t''
never\t''"
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand diff" -l netns -d 'The table of this network namespace: a name below /run/netns or a path; anywhere on the command line' -x -a "(__fish_ipvsadm_rs_live)"
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand diff" -s j -l json -d 'Print JSON'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand diff" -l pretty -d 'With --json, on indented lines'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand compare" -l netns -d 'The table of this network namespace: a name below /run/netns or a path; anywhere on the command line' -x -a "(__fish_ipvsadm_rs_live)"
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand compare" -s j -l json -d 'Print JSON'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand compare" -l pretty -d 'With --json, on indented lines'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand where" -s t -l tcp-service -d 'The virtual service: TCP to this address and port' -x -a "(__fish_ipvsadm_rs_live)"
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand where" -s u -l udp-service -d 'The virtual service: UDP to this address and port' -x -a "(__fish_ipvsadm_rs_live)"
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand where" -l sctp-service -d 'The virtual service: SCTP to this address and port' -x -a "(__fish_ipvsadm_rs_live)"
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand where" -s f -l fwmark-service -d 'The virtual service: packets with this firewall mark, 1 to 4294967295' -x -a "(__fish_ipvsadm_rs_live)"
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand where" -l to -d 'With -f, the address that the client connects to' -r
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand where" -l sh-tab-bits -d 'The kernel\'s CONFIG_IP_VS_SH_TAB_BITS, 4 to 20' -r
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand where" -l mh-tab-index -d 'The kernel\'s CONFIG_IP_VS_MH_TAB_INDEX, 8 to 17' -r
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand where" -l netns -d 'The table of this network namespace: a name below /run/netns or a path; anywhere on the command line' -x -a "(__fish_ipvsadm_rs_live)"
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand where" -s 6 -l ipv6 -d 'The firewall mark is one of IPv6 packets; follows -f'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand where" -l digest -d 'Print a digest of each service with sh, mh or dh, equal on directors that choose alike'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand where" -s j -l json -d 'Print JSON'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand where" -l pretty -d 'With --json, on indented lines'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand monitor" -l interval -d 'Read the table every so many seconds, 1 to 3600' -r
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand monitor" -l file -d 'Append to this file, which is opened again at SIGHUP' -r -F
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand monitor" -l netns -d 'The table of this network namespace: a name below /run/netns or a path; anywhere on the command line' -x -a "(__fish_ipvsadm_rs_live)"
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand monitor" -s j -l json -d 'Print a JSON object a line'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand top" -l interval -d 'Seconds between two readings of the table, 1 to 3600' -r
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand top" -l count -d 'Print plain lines, this many times' -r
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand top" -l client -d 'Only connections of this client, or of all clients in this network' -r -f
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand top" -l state -d 'Only connections in this state, by the kernel\'s name of it, such as ESTABLISHED' -r -f -a "NONE\t''
ESTABLISHED\t''
SYN_SENT\t''
SYN_RECV\t''
FIN_WAIT\t''
TIME_WAIT\t''
CLOSE\t''
CLOSE_WAIT\t''
LAST_ACK\t''
LISTEN\t''
SYNACK\t''
UDP\t''
INIT1\t''
INIT\t''
COOKIE_SENT\t''
COOKIE_REPLIED\t''
COOKIE_WAIT\t''
COOKIE\t''
COOKIE_ECHOED\t''
SHUTDOWN_SENT\t''
SHUTDOWN_RECEIVED\t''
SHUTDOWN_ACK_SENT\t''
REJECTED\t''
CLOSED\t''
ASSURED\t''"
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand top" -l origin -d 'Only connections made by packets (local), or by messages for the sync daemon (sync)' -r -f -a "local\t''
sync\t''"
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand top" -l expires-within -d 'Only connections that the kernel forgets within this time if no packets come, 0 to 2678400' -r -f
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand top" -l color -d 'When to colour what is printed' -r -f -a "auto\t''
always\t''
never\t''"
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand top" -l netns -d 'The table of this network namespace: a name below /run/netns or a path; anywhere on the command line' -x -a "(__fish_ipvsadm_rs_live)"
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand top" -l once -d 'Print plain lines, once: after one interval, as rates take two readings'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand service; and not __fish_seen_subcommand_from start stop restart reload force-reload save status panic load rate" -l netns -d 'The table of this network namespace: a name below /run/netns or a path; anywhere on the command line' -x -a "(__fish_ipvsadm_rs_live)"
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand service; and not __fish_seen_subcommand_from start stop restart reload force-reload save status panic load rate" -f -a "start" -d 'Make the table what the file of rules says, and start the daemons of the settings'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand service; and not __fish_seen_subcommand_from start stop restart reload force-reload save status panic load rate" -f -a "stop" -d 'Clear the table, after saving it and before unloading the modules if set so'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand service; and not __fish_seen_subcommand_from start stop restart reload force-reload save status panic load rate" -f -a "restart" -d 'Start again, after saving the table if set so; nothing is cleared in between'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand service; and not __fish_seen_subcommand_from start stop restart reload force-reload save status panic load rate" -f -a "reload" -d 'Make the table what the file of rules says; send only what differs'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand service; and not __fish_seen_subcommand_from start stop restart reload force-reload save status panic load rate" -f -a "force-reload" -d 'The same as restart'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand service; and not __fish_seen_subcommand_from start stop restart reload force-reload save status panic load rate" -f -a "save" -d 'Write the table, the timeouts and the daemons to the file of rules'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand service; and not __fish_seen_subcommand_from start stop restart reload force-reload save status panic load rate" -f -a "status" -d 'Print the table; status 0 if there is anything in it, 3 if not'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand service; and not __fish_seen_subcommand_from start stop restart reload force-reload save status panic load rate" -f -a "panic" -d 'Clear the table, whatever the settings'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand service; and not __fish_seen_subcommand_from start stop restart reload force-reload save status panic load rate" -f -a "load" -d 'Make the table what the file of rules says, even if set not to'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand service; and not __fish_seen_subcommand_from start stop restart reload force-reload save status panic load rate" -f -a "rate" -d 'Print the table with its rates'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand service; and __fish_seen_subcommand_from start" -l lock-wait -d 'If another ipvsadm-rs is changing the table, wait this many seconds for it, 0 to 2678400; 60 if not given' -r -f
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand service; and __fish_seen_subcommand_from start" -l netns -d 'The table of this network namespace: a name below /run/netns or a path; anywhere on the command line' -x -a "(__fish_ipvsadm_rs_live)"
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand service; and __fish_seen_subcommand_from stop" -l unit -d 'The systemd unit that this stop belongs to: if systemd is restarting it, everything is left to the start that follows, which then is a restart' -r
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand service; and __fish_seen_subcommand_from stop" -l lock-wait -d 'If another ipvsadm-rs is changing the table, wait this many seconds for it, 0 to 2678400; 60 if not given' -r -f
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand service; and __fish_seen_subcommand_from stop" -l netns -d 'The table of this network namespace: a name below /run/netns or a path; anywhere on the command line' -x -a "(__fish_ipvsadm_rs_live)"
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand service; and __fish_seen_subcommand_from restart" -l lock-wait -d 'If another ipvsadm-rs is changing the table, wait this many seconds for it, 0 to 2678400; 60 if not given' -r -f
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand service; and __fish_seen_subcommand_from restart" -l netns -d 'The table of this network namespace: a name below /run/netns or a path; anywhere on the command line' -x -a "(__fish_ipvsadm_rs_live)"
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand service; and __fish_seen_subcommand_from reload" -l lock-wait -d 'If another ipvsadm-rs is changing the table, wait this many seconds for it, 0 to 2678400; 60 if not given' -r -f
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand service; and __fish_seen_subcommand_from reload" -l netns -d 'The table of this network namespace: a name below /run/netns or a path; anywhere on the command line' -x -a "(__fish_ipvsadm_rs_live)"
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand service; and __fish_seen_subcommand_from force-reload" -l lock-wait -d 'If another ipvsadm-rs is changing the table, wait this many seconds for it, 0 to 2678400; 60 if not given' -r -f
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand service; and __fish_seen_subcommand_from force-reload" -l netns -d 'The table of this network namespace: a name below /run/netns or a path; anywhere on the command line' -x -a "(__fish_ipvsadm_rs_live)"
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand service; and __fish_seen_subcommand_from save" -l lock-wait -d 'If another ipvsadm-rs is changing the table, wait this many seconds for it, 0 to 2678400; 60 if not given' -r -f
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand service; and __fish_seen_subcommand_from save" -l netns -d 'The table of this network namespace: a name below /run/netns or a path; anywhere on the command line' -x -a "(__fish_ipvsadm_rs_live)"
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand service; and __fish_seen_subcommand_from save" -l force -d 'Even if that empties a file that has rules'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand service; and __fish_seen_subcommand_from status" -l netns -d 'The table of this network namespace: a name below /run/netns or a path; anywhere on the command line' -x -a "(__fish_ipvsadm_rs_live)"
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand service; and __fish_seen_subcommand_from status" -s j -l json -d 'Print JSON'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand service; and __fish_seen_subcommand_from status" -l pretty -d 'With --json, on indented lines'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand service; and __fish_seen_subcommand_from panic" -l netns -d 'The table of this network namespace: a name below /run/netns or a path; anywhere on the command line' -x -a "(__fish_ipvsadm_rs_live)"
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand service; and __fish_seen_subcommand_from load" -l lock-wait -d 'If another ipvsadm-rs is changing the table, wait this many seconds for it, 0 to 2678400; 60 if not given' -r -f
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand service; and __fish_seen_subcommand_from load" -l netns -d 'The table of this network namespace: a name below /run/netns or a path; anywhere on the command line' -x -a "(__fish_ipvsadm_rs_live)"
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand service; and __fish_seen_subcommand_from rate" -l netns -d 'The table of this network namespace: a name below /run/netns or a path; anywhere on the command line' -x -a "(__fish_ipvsadm_rs_live)"
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand health" -s t -l tcp-service -d 'The virtual service: TCP to this address and port' -x -a "(__fish_ipvsadm_rs_live)"
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand health" -s u -l udp-service -d 'The virtual service: UDP to this address and port' -x -a "(__fish_ipvsadm_rs_live)"
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand health" -l sctp-service -d 'The virtual service: SCTP to this address and port' -x -a "(__fish_ipvsadm_rs_live)"
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand health" -s f -l fwmark-service -d 'The virtual service: packets with this firewall mark, 1 to 4294967295' -x -a "(__fish_ipvsadm_rs_live)"
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand health" -l min-servers -d 'Servers of each service with a weight above 0, at least; 1 if not given' -r
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand health" -l min-weight -d 'The sum of the weights of each service\'s servers, at least' -r
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand health" -l max-connections -d 'Active and inactive connections of each service, at most' -r
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand health" -l daemon -d 'The synchronisation daemon of this role has to run' -r -f -a "master\t''
backup\t''"
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand health" -l netns -d 'The table of this network namespace: a name below /run/netns or a path; anywhere on the command line' -x -a "(__fish_ipvsadm_rs_live)"
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand health" -s 6 -l ipv6 -d 'The firewall mark is one of IPv6 packets; follows -f'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand health" -l gate -d 'Status 0 or 2 only: a warning is 0, and what is not known is 2'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand health" -s j -l json -d 'Print JSON'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand health" -l pretty -d 'With --json, on indented lines'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand doctor" -l role -d 'What this machine is; it can be both, and auto finds out' -r -f -a "director\t''
real-server\t''
auto\t''"
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand doctor" -l peer -d 'What -L --json prints on another of several directors: it has to choose the same servers' -r -F
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand doctor" -l rules -d 'The saved rules, if they are not where distributions have them' -r -F
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand doctor" -l color -d 'When to colour what is printed' -r -f -a "auto\t''
always\t''
never\t''"
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand doctor" -l netns -d 'The table of this network namespace: a name below /run/netns or a path; anywhere on the command line' -x -a "(__fish_ipvsadm_rs_live)"
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand doctor" -l scale-out -d 'This is one of several directors behind a router that spreads the VIP over them; seen if BIRD, FRR or ExaBGP runs and the VIP is on lo or a dummy'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand doctor" -l probe -d 'Ask on the segment who has the VIP (ARP, neighbour discovery) and listen for sync daemons, for a second'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand doctor" -s a -l all -d 'Show what is well and what was skipped, too'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand doctor" -s j -l json -d 'Print JSON'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand doctor" -l pretty -d 'With --json, on indented lines'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand realserver; and not __fish_seen_subcommand_from start stop status" -l netns -d 'The table of this network namespace: a name below /run/netns or a path; anywhere on the command line' -x -a "(__fish_ipvsadm_rs_live)"
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand realserver; and not __fish_seen_subcommand_from start stop status" -f -a "start" -d 'Silence ARP for the VIPs, then add them'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand realserver; and not __fish_seen_subcommand_from start stop status" -f -a "stop" -d 'Put back what was there before start'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand realserver; and not __fish_seen_subcommand_from start stop status" -f -a "status" -d 'Print what a real server needs, with pass or fail; status 0 if it is ready, 3 if not'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand realserver; and __fish_seen_subcommand_from start" -l method -d 'How to keep ARP quiet (IPv4), or to do without the VIP: redirect' -r -f -a "arp-sysctl\t''
arptables\t''
nftables\t''
redirect\t''"
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand realserver; and __fish_seen_subcommand_from start" -l interface -d 'Where the VIPs are to be' -x -a "(__fish_ipvsadm_rs_live)"
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand realserver; and __fish_seen_subcommand_from start" -l netns -d 'The table of this network namespace: a name below /run/netns or a path; anywhere on the command line' -x -a "(__fish_ipvsadm_rs_live)"
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand realserver; and __fish_seen_subcommand_from start" -l persist -d 'Start them at every boot, too'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand realserver; and __fish_seen_subcommand_from stop" -l method -d 'How to keep ARP quiet (IPv4), or to do without the VIP: redirect' -r -f -a "arp-sysctl\t''
arptables\t''
nftables\t''
redirect\t''"
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand realserver; and __fish_seen_subcommand_from stop" -l interface -d 'With --force: where the VIPs are that are in no record' -x -a "(__fish_ipvsadm_rs_live)"
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand realserver; and __fish_seen_subcommand_from stop" -l netns -d 'The table of this network namespace: a name below /run/netns or a path; anywhere on the command line' -x -a "(__fish_ipvsadm_rs_live)"
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand realserver; and __fish_seen_subcommand_from stop" -l persist -d 'Do not start them at boot any more, either'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand realserver; and __fish_seen_subcommand_from stop" -l force -d 'Also remove what is there without a record, made by hand or by a start whose record is lost: the address, the host route and rules'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand realserver; and __fish_seen_subcommand_from status" -l method -d 'How to keep ARP quiet (IPv4), or to do without the VIP: redirect' -r -f -a "arp-sysctl\t''
arptables\t''
nftables\t''
redirect\t''"
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand realserver; and __fish_seen_subcommand_from status" -l interface -d 'Where the VIPs are to be' -x -a "(__fish_ipvsadm_rs_live)"
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand realserver; and __fish_seen_subcommand_from status" -l color -d 'When to colour what is printed' -r -f -a "auto\t''
always\t''
never\t''"
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand realserver; and __fish_seen_subcommand_from status" -l netns -d 'The table of this network namespace: a name below /run/netns or a path; anywhere on the command line' -x -a "(__fish_ipvsadm_rs_live)"
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand realserver; and __fish_seen_subcommand_from status" -l persist -d 'They have to be started at every boot, too'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand realserver; and __fish_seen_subcommand_from status" -s j -l json -d 'Print JSON'
complete -c ipvsadm-rs -n "__fish_ipvsadm_rs_using_subcommand realserver; and __fish_seen_subcommand_from status" -l pretty -d 'With --json, on indented lines'
complete -c ipvsadm -w ipvsadm-rs
