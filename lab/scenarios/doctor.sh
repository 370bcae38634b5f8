# the doctor: nothing to be desired on any host of a cluster that is well kept
# shellcheck shell=bash

# shellcheck source=../doctor.sh
. "$lab/doctor.sh"
own_etc
build dr
well_kept -g
# rs2 has the same /etc.
typed rs1 ipvsadm-rs realserver start --persist "$vip"
fetch "http://$vip/?[1-4]"

heading "Is all well, and does the doctor see it?"
prove "the cluster works" answers_are 1 3
for host in director rs1 rs2; do
    examined "$host"
    prove "all green on $host" all_green
    examined "$host" --probe
    prove "all green on $host, having asked on the wire" all_green
done
typed director ipvsadm-rs doctor --all --probe
typed rs1 ipvsadm-rs doctor --all --probe
