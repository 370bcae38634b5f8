//! What a saved file keeps of the old one, what it does not, and what others laid in its place.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use super::{FOLDER, NEW, OLD, Outcome, RULES, SAVE, sh};
use crate::support::ours;

const ACL: &str = "system.posix_acl_access";
const DEFAULT_ACL: &str = "system.posix_acl_default";
/// Attributes that are kept, and their values.
const KEPT: [(&str, &[u8]); 4] = [
    ("security.selinux", b"system_u:object_r:secret_t:s0\0"),
    ("security.SMACK64", b"Secret"),
    ("trusted.note", b"ours"),
    ("user.note", b"\0\xff\n"),
];
/// Attributes that belong to the old content.
const OF_CONTENT: [(&str, &[u8]); 3] = [
    ("security.ima", &[1; 21]),
    ("security.evm", &[5; 21]),
    ("security.capability", &[1, 0, 0, 2, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
];

/// Mounts a file system that has every attribute: memory does from Linux 6.6 on, before that a disk.
fn mount_with_attributes() -> Result<()> {
    sh(&format!("mount -t tmpfs -o mode=755 tmpfs {FOLDER}"))?;
    fs::write(RULES, OLD)?;
    if set(RULES, "user.try", b"x").is_err() {
        sh(&format!(
            "umount {FOLDER}; modprobe loop || :; truncate -s 8M /run/disk; mkfs.ext4 -q -O ^has_journal /run/disk
             mount -o loop /run/disk {FOLDER}; rmdir {FOLDER}/lost+found"
        ))?;
    }
    let _ = fs::remove_file(RULES);
    Ok(())
}

fn set(path: &str, name: &str, value: &[u8]) -> Result<()> {
    rustix::fs::setxattr(path, name, value, rustix::fs::XattrFlags::empty()).with_context(|| format!("{path}: {name}"))
}

fn get(path: &str, name: &str) -> Result<Option<Vec<u8>>> {
    let mut value = Vec::with_capacity(65536);
    match rustix::fs::getxattr(path, name, rustix::buffer::spare_capacity(&mut value)) {
        Ok(_) => Ok(Some(value)),
        Err(rustix::io::Errno::NODATA) => Ok(None),
        Err(error) => Err(error).with_context(|| format!("{path}: {name}")),
    }
}

/// An access control list: what owner, user 1000, group, mask and others may do.
fn acl(permissions: [u16; 5]) -> Vec<u8> {
    let tags = [(1u16, u32::MAX), (2, 1000), (4, u32::MAX), (16, u32::MAX), (32, u32::MAX)];
    let mut acl = 2u32.to_le_bytes().to_vec();
    for ((tag, id), permissions) in tags.into_iter().zip(permissions) {
        acl.extend(tag.to_le_bytes().into_iter().chain(permissions.to_le_bytes()).chain(id.to_le_bytes()));
    }
    acl
}

/// What decides about access to a file.
fn access(path: &str) -> Result<(u32, u32, u32, Option<Vec<u8>>)> {
    let file = fs::metadata(path)?;
    Ok((file.uid(), file.gid(), file.mode() & 0o7777, get(path, ACL)?))
}

/// A file with an access control list, by which user 1000 may write and the group may not even read.
fn old_with_acl() -> Result<()> {
    fs::write(RULES, OLD)?;
    set(RULES, ACL, &acl([6, 6, 0, 6, 0]))
}

pub(super) fn what_is_kept() -> Result<()> {
    mount_with_attributes()?;
    old_with_acl()?;
    std::os::unix::fs::chown(RULES, Some(1000), Some(1001))?;
    for (name, value) in KEPT {
        set(RULES, name, value)?;
    }
    let before = access(RULES)?;
    let outcome = SAVE.run_over_what_is_there(&["-o", "/run/trace", "-e", "trace=%file,%desc"])?;
    ensure!(outcome.status == Some(0) && outcome.stderr.is_empty() && SAVE.is_new()?, "{outcome:?}");
    ensure!(access(RULES)? == before, "{before:?} became {:?}", access(RULES)?);
    for (name, value) in KEPT {
        ensure!(get(RULES, name)?.as_deref() == Some(value), "{name}: {:?}", get(RULES, name)?);
    }
    // All of that before the file has its name.
    let trace = fs::read_to_string("/run/trace")?;
    let after = trace.lines().skip_while(|line| !line.starts_with("rename"));
    let late =
        after.filter(|line| ["fsetxattr", "fchown", "fchmod", "chmod"].iter().any(|call| line.starts_with(call)));
    ensure!(late.count() == 0, "changed after it has its name: {trace}");
    Ok(())
}

pub(super) fn what_is_not_kept() -> Result<()> {
    mount_with_attributes()?;
    fs::write(RULES, OLD)?;
    fs::set_permissions(RULES, fs::Permissions::from_mode(0o640))?;
    for (name, value) in OF_CONTENT {
        set(RULES, name, value)?;
    }
    // Every new file in this folder would be user 1000's to read.
    set(FOLDER, DEFAULT_ACL, &acl([6, 6, 6, 6, 4]))?;
    let outcome = SAVE.run_over_what_is_there(&[])?;
    ensure!(outcome.status == Some(0) && outcome.stderr.is_empty() && SAVE.is_new()?, "{outcome:?}");
    ensure!(access(RULES)? == (0, 0, 0o640, None), "{:?}", access(RULES)?);
    for (name, _) in OF_CONTENT {
        ensure!(get(RULES, name)?.is_none(), "{name} is kept");
    }
    // And a file that was not there is still root's alone.
    fs::remove_file(RULES)?;
    let outcome = SAVE.run_over_what_is_there(&[])?;
    ensure!(outcome.status == Some(0) && fs::metadata(RULES)?.mode() & 0o7777 == 0o600, "{outcome:?}");
    Ok(())
}

pub(super) fn what_may_not_be_kept() -> Result<()> {
    mount_with_attributes()?;
    old_with_acl()?;
    set(RULES, "user.note", b"x")?;
    let calls = SAVE.calls_on_the_way()?;
    let of_access = ["listxattr", "getxattr", "fremovexattr", "fsetxattr", "fchown", "fchmod"];
    let mut seen = BTreeMap::new();
    for call in calls.iter().filter(|call| of_access.contains(&call.name.as_str())) {
        for (errno, reason) in [("EPERM", "Operation not permitted"), ("EIO", "Input/output error")] {
            let _ = fs::remove_file(RULES);
            old_with_acl()?;
            set(RULES, "user.note", b"x")?;
            let before = access(RULES)?;
            let outcome = SAVE.inject(&call.name, call.number, &format!("error={errno}"))?;
            let after = access(RULES)?;
            ensure!(after == before || after.2 & 0o077 == 0, "{call} = {errno}: {after:?}, {outcome:?}");
            ensure!(SAVE.leftovers()?.is_empty(), "{call}: {:?} is left", SAVE.leftovers()?);
            let new = SAVE.is_new()?;
            ensure!(outcome.status == Some(u8::from(!new).into()), "{call} = {errno}: {outcome:?}");
            // A change of owner that changes nothing may fail.
            let silent = call.name == "fchown" && new;
            let lines = outcome.stderr.lines().count();
            ensure!(lines == usize::from(!silent), "{call} = {errno}: {outcome:?}");
            let said =
                outcome.stderr.starts_with(&format!("{RULES}: ")) && outcome.stderr.ends_with(&format!("{reason}\n"));
            ensure!(silent || said, "{call} = {errno}: {outcome:?}");
            ensure!(!(new && errno == "EIO"), "{call} = {errno}: it was saved");
            *seen.entry((call.name.as_str(), new)).or_insert(0) += 1;
        }
    }
    // The attribute and the list: each may be lost, and saved without it.
    ensure!(seen.get(&("fsetxattr", true)) == Some(&2) && seen.get(&("fsetxattr", false)) == Some(&2), "{seen:?}");
    // Its length and the list.
    ensure!(seen.get(&("listxattr", false)) == Some(&4), "{seen:?}");
    Ok(())
}

/// Without a module that goes by it a label gives and takes no access: it is lost, and the file is saved. With one, the new
/// file has a label already, and with that would be open to others than the old one.
pub(super) fn a_label_that_may_not_be_kept() -> Result<()> {
    mount_with_attributes()?;
    let forbidden = "inject=fsetxattr:error=EPERM:when=1";
    // What a module does for every new file. Nothing else is asked of that.
    let labelled = "inject=fgetxattr:retval=0";
    for label in ["security.selinux", "security.SMACK64"] {
        for (injected, refused, says) in [
            (&["-e", forbidden][..], false, format!("the attribute {label} is lost: Operation not permitted")),
            (
                &["-e", forbidden, "-e", labelled],
                true,
                format!("the new file may not have the old one's {label}: Operation not permitted"),
            ),
            (&["-e", labelled], false, String::new()),
        ] {
            let _ = fs::remove_file(RULES);
            old_with_acl()?;
            set(RULES, label, b"Secret")?;
            let before = access(RULES)?;
            let traced = [&["-o", "/dev/null", "-e", "trace=fgetxattr,fsetxattr"], injected].concat();
            let outcome = SAVE.run_over_what_is_there(&traced)?;
            ensure!(outcome.status == Some(refused.into()) && SAVE.is_new()? != refused, "{injected:?}: {outcome:?}");
            let said = if says.is_empty() { says } else { format!("{RULES}: {says}\n") };
            ensure!(outcome.stderr == said, "{injected:?}: {outcome:?}");
            let kept = said.is_empty() || refused;
            ensure!(get(RULES, label)?.is_some() == kept && access(RULES)? == before, "{injected:?}: {outcome:?}");
            ensure!(SAVE.leftovers()?.is_empty(), "{injected:?}: {:?} is left", SAVE.leftovers()?);
        }
    }
    Ok(())
}

/// The packaged unit's capabilities, for setpriv(1).
fn units_capabilities() -> Result<String> {
    let unit = include_str!("../../../dist/systemd/ipvsadm-rs.service");
    let set = unit.lines().find_map(|line| line.strip_prefix("CapabilityBoundingSet=")).context("no bounding set")?;
    let names = set.split(' ').filter_map(|name| name.strip_prefix("CAP_"));
    Ok(names.fold("-all".to_owned(), |set, name| format!("{set},+{}", name.to_lowercase())))
}

pub(super) fn under_the_units_capabilities() -> Result<()> {
    mount_with_attributes()?;
    let capabilities = units_capabilities()?;
    let run = || -> Result<(Option<i32>, String)> {
        let mut command = Command::new("setpriv");
        command.arg("--clear-groups").arg(format!("--bounding-set={capabilities}")).arg(ours()).args(SAVE.words);
        let output = command.stdin(Stdio::null()).output()?;
        Ok((output.status.code(), String::from_utf8(output.stderr)?))
    };
    // Root's own file keeps everything.
    old_with_acl()?;
    set(RULES, "user.note", b"x")?;
    let before = access(RULES)?;
    ensure!(run()? == (Some(0), String::new()) && SAVE.is_new()?, "root's file: {:?}", run()?);
    ensure!(access(RULES)? == before && get(RULES, "user.note")?.is_some(), "{before:?}: {:?}", access(RULES)?);
    // Another's cannot: those who had access through owner, group or list lose it, and a line says so.
    let lost = |mode| {
        format!(
            "{RULES}: it belonged to user 1000 and group 1001, and now to user 0 and group 0 with mode {mode}: \
             Operation not permitted\n"
        )
    };
    for (mode, list, left) in [
        (0o640, None, 0o600),
        (0o644, None, 0o644),
        (0o664, Some([6, 6, 6, 6, 4]), 0o644),
        // User 1000 is shut out.
        (0o644, Some([6, 0, 4, 4, 4]), 0o600),
    ] {
        fs::remove_file(RULES)?;
        fs::write(RULES, OLD)?;
        fs::set_permissions(RULES, fs::Permissions::from_mode(mode))?;
        if let Some(list) = list {
            set(RULES, ACL, &acl(list))?;
        }
        std::os::unix::fs::chown(RULES, Some(1000), Some(1001))?;
        let outcome = run()?;
        ensure!(outcome == (Some(0), lost(format!("{left:04o}"))), "{mode:o}, {list:?}: {outcome:?}");
        ensure!(access(RULES)? == (0, 0, left, None) && SAVE.is_new()?, "{mode:o}, {list:?}: {:?}", access(RULES)?);
    }
    Ok(())
}

pub(super) fn hard_links() -> Result<()> {
    fs::write(RULES, OLD)?;
    let other = format!("{FOLDER}/other");
    fs::hard_link(RULES, &other)?;
    let outcome = SAVE.run_over_what_is_there(&[])?;
    let said = format!("{RULES}: it had 2 names (hard links): the others keep the old content\n");
    ensure!((outcome.status, outcome.stderr) == (Some(0), said) && SAVE.is_new()?, "not said");
    ensure!(fs::read_to_string(&other)? == OLD && fs::metadata(RULES)?.nlink() == 1, "the other name's content");
    Ok(())
}

pub(super) fn what_others_laid() -> Result<()> {
    let folder = |mode: &str| sh(&format!("chown 0:1000 {FOLDER}; chmod {mode} {FOLDER}"));
    let refused = |saved: &Outcome, what: &str, path: &str| {
        let expected = format!("{path}: {what} to another user, in a folder that others may write to\n");
        saved.status == Some(1) && saved.stderr == expected
    };
    let save = |path: &str| -> Result<Outcome> {
        let output = Command::new(ours()).args(["-S", "-n", "--file", path]).stdin(Stdio::null()).output()?;
        Ok(Outcome { status: output.status.code(), stderr: String::from_utf8(output.stderr)? })
    };
    let victim = "/run/victim/rules";
    sh(&format!(
        "mkdir /run/victim; echo dear >{victim}; cd {FOLDER}; ln -s {victim} link; ln -s /run/victim way; chown -h 1000 link way"
    ))?;
    for mode in ["0775", "1775", "0757"] {
        folder(mode)?;
        // The link, one that leads to it, and one on the way.
        let outcome = save(&format!("{FOLDER}/link"))?;
        ensure!(refused(&outcome, "the link \"link\" belongs", &format!("{FOLDER}/link")), "{mode}: {outcome:?}");
        sh(&format!("ln -sf {FOLDER}/link /run/first"))?;
        let outcome = save("/run/first")?;
        ensure!(refused(&outcome, "the link \"link\" belongs", "/run/first"), "{mode}: {outcome:?}");
        let outcome = save(&format!("{FOLDER}/way/rules"))?;
        ensure!(refused(&outcome, "the link \"way\" belongs", &format!("{FOLDER}/way/rules")), "{mode}: {outcome:?}");
        ensure!(fs::read_to_string(victim)? == "dear\n", "{mode}: it was written");
    }
    // A file of a member of the group is not a link, and keeps its owner; where it is like /tmp, it is refused.
    sh(&format!("echo theirs >{RULES}; chown 1000 {RULES}"))?;
    folder("1775")?;
    let outcome = save(RULES)?;
    ensure!(refused(&outcome, "belongs", RULES), "{outcome:?}");
    folder("0775")?;
    let outcome = save(RULES)?;
    ensure!(outcome.status == Some(0) && fs::metadata(RULES)?.uid() == 1000 && SAVE.is_new()?, "{outcome:?}");
    // Where no other user may write, links are followed, through folders, too; and root's own anywhere.
    folder("0755")?;
    ensure!(save(&format!("{FOLDER}/way/rules"))?.status == Some(0), "a link on the way");
    ensure!(fs::read_to_string(victim)? == NEW, "not written through the link");
    folder("0777")?;
    sh(&format!("chown -h 0 {FOLDER}/link; echo old >{victim}; cd {FOLDER}; ln -sf link again; ln -sf loop loop"))?;
    ensure!(save(&format!("{FOLDER}/again"))?.status == Some(0), "root's own link");
    ensure!(fs::read_to_string(victim)? == NEW, "not written through root's link");
    let outcome = save(&format!("{FOLDER}/loop"))?;
    ensure!(outcome.status == Some(1) && outcome.stderr.contains("Too many levels"), "{outcome:?}");
    Ok(())
}
