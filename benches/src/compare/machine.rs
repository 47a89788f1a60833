//! What it all ran on, and what about it makes figures mean less.

use std::io;
use std::path::Path;

/// What `statfs` says of a directory in memory.
const TMPFS: u64 = 0x0102_1994;
/// Room that a run may need.
const ROOM_QUICK: u64 = 2 << 30;
const ROOM: u64 = 20 << 30;

fn first_line(path: &str) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().next().unwrap_or_default().trim().to_owned()
}

fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find(|line| line.starts_with("model name"));
    let name = name.and_then(|line| line.split(':').nth(1)).unwrap_or("a processor").trim();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    format!("{name}, {cores} of them")
}

/// The file system that a directory is on.
fn mounted(path: &Path) -> String {
    let text = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let mounts = text.lines().filter_map(|line| {
        let mut words = line.split(' ');
        let (device, at, kind) = (words.next()?, words.next()?, words.next()?);
        path.starts_with(at).then_some((at.len(), format!("{kind} on {device}")))
    });
    mounts.max_by_key(|(length, _)| *length).map_or_else(|| "an unknown file system".to_owned(), |(_, it)| it)
}

/// Says it in lines; and whether syncing means nothing here.
pub(super) fn notes(directory: &Path, quick: bool) -> io::Result<(Vec<String>, bool)> {
    let load = first_line("/proc/loadavg");
    let load: Vec<&str> = load.split(' ').take(2).collect();
    let mut notes = vec![format!(
        "{}; Linux {}; {}; load before it began {}.",
        processor(),
        first_line("/proc/sys/kernel/osrelease"),
        mounted(directory),
        load.join(" and "),
    )];
    let never_synced = u64::try_from(rustix::fs::statfs(directory)?.f_type).is_ok_and(|kind| kind == TMPFS);
    if never_synced {
        notes.push(format!(
            "{} is on tmpfs: nothing there survives a power cut, so that durable rows have no figures. \
             Choose another with --directory.",
            directory.display()
        ));
    }
    let room = rustix::fs::statvfs(directory)?;
    let room = room.f_bavail.saturating_mul(room.f_frsize);
    let needed = if quick { ROOM_QUICK } else { ROOM };
    if room < needed {
        notes.push(format!(
            "Only {} MiB are free where it writes, and a run may need {}: a peer that finds no room fails, and the table \
             says so.",
            room >> 20,
            needed >> 20
        ));
    }
    Ok((notes, never_synced))
}
