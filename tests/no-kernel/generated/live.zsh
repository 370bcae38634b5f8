# Values that only the program knows: it is asked, with the line up to the cursor.
_ipvsadm-rs_live() {
    local -a values
    local program=${(Q)~ipvsadm_line[1]}
    values=("${(@f)$($program __complete -- "${(@Q)ipvsadm_line[2,-1]}" 2>/dev/null)}")
    values=(${values:#})
    _description values expl value
    compadd "$expl[@]" -a values
}
