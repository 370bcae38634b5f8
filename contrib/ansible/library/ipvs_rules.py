#!/usr/bin/python
"""Ansible module: the table of IPVS is what rules say, by ipvsadm-rs."""

import json
import os
import tempfile

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: ipvs_rules
short_description: The table of IPVS is what rules say
description:
  - Keeps a file of rules and makes the table of IPVS equal to it with C(ipvsadm-rs -R --replace), by the fewest changes, all
    or none. Rules with an error change neither.
options:
  content:
    description: The rules, as C(ipvsadm-rs -S) prints them and C(ipvsadm-rs -R) reads them.
    type: str
    required: true
  path:
    description: The file that keeps them on the director.
    type: path
    default: /etc/ipvsadm.rules
  drain:
    description:
      - Seconds that a server which is to be deleted may take to lose its connections, after everything else was changed, and
        one server after another. One that takes longer keeps its weight, and the task fails, unless I(force). 0 deletes
        them at once.
      - The servers of a service that is deleted as a whole are not drained.
    type: int
    default: 0
  force:
    description: Delete what could not be drained, and drain where clients are refused.
    type: bool
    default: false
  max_removals:
    description: Refuse a change that takes out more rules than this, a number or a share (C(50%)).
    type: str
  program:
    description: The program.
    type: str
    default: ipvsadm-rs
"""

EXAMPLES = r"""
- name: Rules of the directors
  ipvs_rules:
    content: "{{ lookup('template', 'ipvsadm.rules.j2') }}"
    drain: 60
"""

RETURN = r"""
changes:
  description: What differed, as C(ipvsadm-rs -R --replace --json) has it.
  returned: always
  type: list
added:
  description: How many services and servers were, or in check mode would be, added.
  returned: always
  type: int
edited:
  description: The same of those that were edited.
  returned: always
  type: int
deleted:
  description: The same of those that were deleted.
  returned: always
  type: int
"""


def main():
    module = AnsibleModule(
        argument_spec={
            "content": {"type": "str", "required": True},
            "path": {"type": "path", "default": "/etc/ipvsadm.rules"},
            "drain": {"type": "int", "default": 0},
            "force": {"type": "bool", "default": False},
            "max_removals": {"type": "str"},
            "program": {"type": "str", "default": "ipvsadm-rs"},
        },
        supports_check_mode=True,
    )
    asked = module.params
    content = asked["content"]
    if not content.endswith("\n"):
        content += "\n"
    try:
        with open(asked["path"], encoding="utf-8") as file:
            kept = file.read()
    except FileNotFoundError:
        kept = None
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=module.tmpdir, delete=False) as file:
        file.write(content)
    rules = file.name
    module.add_cleanup_file(rules)

    def run(*words, good=(0,)):
        status, out, err = module.run_command([asked["program"], *words])
        if status not in good or ("--json" in words and not out):
            module.fail_json(msg=f"{asked['program']} {' '.join(words)}: {err.strip() or out.strip()}", rc=status)
        return out

    limit = ["--max-removals", asked["max_removals"]] if asked["max_removals"] else []
    replace = ["-R", "--replace", *limit, "--json", "--file"]
    plan = json.loads(run(*replace, rules, "--dry-run", good=(0, 1)))["replace"]
    changes = plan["changes"]

    result = {
        "changed": bool(changes) or kept != content,
        "changes": changes,
        "added": plan["added"],
        "edited": plan["edited"],
        "deleted": plan["deleted"],
        "diff": {
            "before_header": "the table",
            "after_header": "the rules",
            "before": "".join(line + "\n" for change in changes for line in change["removed"]),
            "after": "".join(line + "\n" for change in changes for line in change["added"]),
        },
    }
    if plan["exceeds"]:
        module.fail_json(msg=plan["exceeds"], **result)
    if module.check_mode:
        module.exit_json(**result)
    if changes:
        leaving = [change["removed"][0] for change in changes if change["action"] == "delete_server"]
        if asked["drain"] and leaving:
            # First what is new: the clients of a server that goes need another one.
            with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=module.tmpdir, delete=False) as file:
                file.write(content + "".join(line + "\n" for line in leaving))
            module.add_cleanup_file(file.name)
            run(*replace, file.name)
            for line in leaving:
                words = line.split()
                # "-a SERVICE -r SERVER" of it.
                server = words[1 : words.index("-r") + 2]
                run("-d", *server, f"--drain={asked['drain']}", *(["--force"] if asked["force"] else []))
        run(*replace, rules)
    if kept != content:
        module.atomic_move(rules, asked["path"])
    module.exit_json(**result)


if __name__ == "__main__":
    main()
