# contrib/ansible: the directors' rules as a template says, with check mode, differences, and a drain before a deletion
# needs: ansible-playbook=ansible-core unshare=util-linux
# shellcheck shell=bash

build two-directors

play=$state/play
mkdir "$play"
cp -r "$lab/../contrib/ansible/library" "$play/"
# A python for each host, in its network namespace: that is how ansible gets there, where elsewhere it would be by ssh.
echo "[directors]" >"$play/inventory"
for host in director director2; do
    cat >"$play/python-$host" <<PYTHON
#!/bin/sh
exec nsenter --net=/run/netns/lab-$host -- /usr/bin/python3 "\$@"
PYTHON
    chmod +x "$play/python-$host"
    echo "$host ansible_connection=local ansible_python_interpreter=$play/python-$host" >>"$play/inventory"
done
cat >"$play/rules.j2" <<TEMPLATE
-A -t $vip:80 -s wrr
{% for server in servers %}
-a -t $vip:80 -r {{ server }}:80 -g
{% endfor %}
TEMPLATE
cat >"$play/play.yml" <<PLAY
- hosts: directors
  gather_facts: false
  tasks:
    - ipvs_rules:
        content: "{{ lookup('template', 'rules.j2') }}"
        path: $state/{{ inventory_hostname }}.rules
        drain: 20
PLAY
both="['$rs1_ip', '$rs2_ip']"

# Runs the play on both directors, with what it says in $said and its status in $played.
play() { # SERVERS [OPTION...]
    played=0
    note "ansible-playbook -e \"{servers: $1}\" ${*:2} play.yml"
    said=$(cd "$play" && HOME=$play LC_ALL=C.UTF-8 ANSIBLE_NOCOLOR=1 ansible-playbook -i inventory -e "{\"servers\": ${1//\'/\"}}" "${@:2}" play.yml 3>&- 9>&- 2>&1) || played=$?
    printf '%s\n' "$said" >&3
}

# changed_is 0|1: of each host's tasks.
changed_is() {
    evidence=$(grep -e ' : ok=' <<<"$said")
    [[ $played -eq 0 && $(grep -c "changed=$1 .*failed=0" <<<"$evidence") -eq 2 ]]
}

servers_are() { # ADDRESS...
    local host address
    evidence=$(for host in director director2; do printf '%s: %s\n' "$host" "$(on "$host" ipvsadm-rs -Sn | grep -o -e '-r [0-9.]*' | sort | paste -sd ' ')"; done)
    for host in director director2; do
        [[ $evidence == *"$host: ${*/#/-r }"* ]] || return 1
    done
}

says() { # TEXT...
    local text
    evidence=$(for text; do grep -F -m 1 -e "$text" <<<"$said" || echo "no: $text"; done)
    [[ $evidence != *"no: "* ]]
}

heading "Check mode"
play "$both" --check --diff
prove "it would change both directors" changed_is 1
prove "the difference is printed as rules" says "+-a -t $vip:80 -r $rs1_ip:80 -g -w 1"
prove "nothing was changed" servers_are

heading "The rules"
play "$both"
prove "both are changed" changed_is 1
prove "both have the servers" servers_are "$rs1_ip" "$rs2_ip"
play "$both"
prove "the second time nothing changes" changed_is 0

heading "A table is changed by hand"
typed director ipvsadm-rs -d -t "$vip:80" -r "$rs1_ip"
play "$both"
prove "it is put right, on that director alone" says "director                   : ok=1    changed=1" "director2                  : ok=1    changed=0"
prove "both have the servers" servers_are "$rs1_ip" "$rs2_ip"

heading "Rules with an error"
play "['$rs1_ip', '30.30.30.999']"
refused() { evidence=$(grep -e ' : ok=' -e 'illegal' <<<"$said"); [[ $played -ne 0 && $evidence == *illegal* ]]; }
prove "the task fails, and says why" refused
prove "the tables are as they were" servers_are "$rs1_ip" "$rs2_ip"
play "$both"
prove "and the files, too" changed_is 0

heading "A server goes while it has a connection"
typed director ip addr add "$vip/32" dev eth0
for host in rs1 rs2; do truncate -s 8M "$state/www/$host/large"; done
play "['$rs1_ip']"
prove "only rs1 is left" servers_are "$rs1_ip"
prompt client curl -sS --limit-rate 2M "http://$vip/large"
start_on client curl -sS -m 60 --limit-rate 2M -o "$state/large" "http://$vip/large" 2>"$state/large.trouble"
transfer=$started
wait_for 60 "the transfer's first bytes" test -s "$state/large"
play "['$rs2_ip']"
transfer_is_over() {
    local status=0
    ! kill -0 "$transfer" 2>/dev/null || return 1
    wait "$transfer" || status=$?
    evidence="$(stat -c %s "$state/large") bytes of 8388608, curl's status $status $(<"$state/large.trouble")"
    [[ $evidence == "8388608 bytes of "*" status 0 " ]]
}
prove "its transfer had ended when the task did, and is complete" transfer_is_over
prove "rs2 is there instead" servers_are "$rs2_ip"
