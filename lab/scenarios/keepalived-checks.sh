# keepalived's own health checks fill the table; ipvsadm-rs lists it, saves it and shows what a check took out
# needs: keepalived unshare=util-linux
# shellcheck shell=bash

# shellcheck source=../ha.sh
. "$lab/ha.sh"

build dr
own_files director
put director keepalived-checks /etc/keepalived/keepalived.conf
saved=$state/all-well.rules

# What the monitor says of rs1 after the table: it goes, and then it comes.
flap_was_seen() {
    evidence=$(grep -e " -r $rs1_ip:80" "$state/monitor.log" | tail -n +2)
    [[ $evidence == *" -d -t $vip:80 -r $rs1_ip:80"$'\n'*" -a -t $vip:80 -r $rs1_ip:80 -g -w 1"* ]]
}

keepalived director
wait_for 60 "keepalived to add both servers" table_is "$rs1_ip=1 $rs2_ip=3" || :
typed director ipvsadm-rs -Ln
typed director ipvsadm-rs -S -n --file "$saved"
fetch "http://$vip/?[1-20]"
heading "Is keepalived's table ours to read?"
prove "both servers are in the table, with their weights" table_is "$rs1_ip=1 $rs2_ip=3"
prove "the load is shared 5 : 15" answers_are 5 15
prove "it is saved, and nothing differs from that" nothing_differs_from "$saved"

heading "The web server of rs1 dies"
prompt director ipvsadm-rs monitor --interval 1 --file monitor.log
start_on director ipvsadm-rs monitor --interval 1 --file "$state/monitor.log" 2>&1
monitor=$started
wait_for 60 "the monitor" test -s "$state/monitor.log"
stop_web_server rs1
wait_for 60 "keepalived to notice" table_is "$rs2_ip=3" || :
fetch "http://$vip/?[1-20]"
prove "diff shows what the check took out" lacks "$saved" "-a -t $vip:80 -r $rs1_ip:80 -g -w 1"
prove "all answers come from rs2" answers_are 0 20

heading "It comes back"
web_server rs1 80
wait_for 60 "keepalived to notice" table_is "$rs1_ip=1 $rs2_ip=3" || :
prove "nothing differs any more" nothing_differs_from "$saved"
wait_for 60 "the monitor to see it" flap_was_seen || :
prove "the monitor has shown both, with the time" flap_was_seen
kill "$monitor"

heading "A server is deleted by hand"
typed director ipvsadm-rs -d -t "$vip:80" -r "$rs2_ip"
prove "diff shows it" lacks "$saved" "-a -t $vip:80 -r $rs2_ip:80 -g -w 3"
typed director ipvsadm-rs -R --replace --file "$saved"
fetch "http://$vip/?[1-20]"
prove "and what was saved can be put back beside keepalived" nothing_differs_from "$saved"
prove "the load is shared 5 : 15" answers_are 5 15

heading "A server gets another weight by hand, and then its web server dies and comes back"
changed=$state/other-weight.rules
sed "s/ -r $rs1_ip:80 -g -w 1\$/ -r $rs1_ip:80 -g -w 5/" "$saved" >"$changed"
typed director ipvsadm-rs -R --replace --file "$changed"
prove "the table is what the file says, beside keepalived" nothing_differs_from "$changed"
stop_web_server rs1
wait_for 60 "keepalived to notice" table_is "$rs2_ip=3" || :
prove "the check takes the server out anyway, and diff shows it" lacks "$changed" "-a -t $vip:80 -r $rs1_ip:80 -g -w 5"
web_server rs1 80
wait_for 60 "keepalived to notice" table_is "$rs1_ip=1 $rs2_ip=3" || :
prove "it comes back as keepalived has it, and diff shows it" has_instead "$changed" \
    "-a -t $vip:80 -r $rs1_ip:80 -g -w 1" "-a -t $vip:80 -r $rs1_ip:80 -g -w 5"

heading "The table is replaced again and again while a check takes the server out"
replace_until_taken_out rs1 "$changed" "$saved"
prove "each replacement made the table what its file says, or reported the other program" each_succeeded_or_reported
typed director ipvsadm-rs -R --replace --file "$saved"
prove "the next one succeeds" nothing_differs_from "$saved"
