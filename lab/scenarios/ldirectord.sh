# ldirectord checks the web servers, with ipvsadm-rs linked as ipvsadm: a dead one goes, a revived one comes back
# needs: ldirectord unshare=util-linux
# shellcheck shell=bash

# shellcheck source=../ha.sh
. "$lab/ha.sh"

build dr
own_files director
put director ldirectord /etc/ha.d/ldirectord.cf
# The link, as the recipe has it, for this host only.
# shellcheck disable=SC2016  # the inner shell's
ldirectords_ipvsadm=$(on director sh -c 'for i in /sbin /usr/sbin; do [ ! -x $i/ipvsadm ] || exec readlink -f $i/ipvsadm; done')
on director mount --bind "$ipvsadm" "$ldirectords_ipvsadm"

prompt director ldirectord start
start_on director ldirectord start >"$state/ldirectord.log" 2>&1
engine=$started
wait_for 60 "ldirectord to add both servers" table_is "$rs1_ip=1 $rs2_ip=3" || tail -n 20 "$state/ldirectord.log" >&3
typed director ipvsadm-rs -Ln
fetch "http://$vip/?[1-20]"
heading "Does ldirectord see both servers?"
prove "what it calls ipvsadm is this program" same_program "$ldirectords_ipvsadm"
prove "both servers are in the table, with their weights" table_is "$rs1_ip=1 $rs2_ip=3"
prove "the load is shared 5 : 15" answers_are 5 15

heading "The web server of rs1 dies"
stop_web_server rs1
wait_for 60 "ldirectord to notice" table_is "$rs2_ip=3" || :
load_begins "http://$vip/"
typed director ipvsadm-rs -Ln
fetch "http://$vip/?[1-20]"
prove "it is out of the table" table_is "$rs2_ip=3"
prove "all answers come from rs2" answers_are 0 20

heading "It comes back, under load"
web_server rs1 80
wait_for 60 "ldirectord to notice" table_is "$rs1_ip=1 $rs2_ip=3" || :
typed director ipvsadm-rs -Ln
load_ends
fetch "http://$vip/?[1-20]"
prove "it is in the table again, with its weight" table_is "$rs1_ip=1 $rs2_ip=3"
# Rounds are not counted here: ldirectord may edit the servers in the midst of one.
both_answer() { evidence=$tally && ((from_rs1 > 0 && from_rs2 > from_rs1 && ${#answers[@]} == 20)); }
prove "both answer again, rs2 more often" both_answer
prove "no request was lost after detection" no_request_lost
kill "$engine"
wait "$engine" 2>/dev/null || :
note "ldirectord's log:"
sed -n 's/^\[[^]]*\] /  /p' "$state/ldirectord.log" >&3
prove "stopped, ldirectord has nothing to complain of, and leaves no server behind" ldirectord_was_content
