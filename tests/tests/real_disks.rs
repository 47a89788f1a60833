//! Goal: what the simulated disk says holds on a real one: a sync that the system fails is the end of the handle and of
//! nothing that was acknowledged, even where the next sync would claim success; and what a power cut leaves of a real file
//! system opens, with all that was acknowledged.
//!
//! Method: as root, file systems in files, through the loop device: one on a disk that is smaller than it says, so that the
//! system accepts writes that it cannot keep; and one whose bytes are copied at some moment, as the power would leave them,
//! while its writer is stopped. Where that is not allowed it is skipped, with the reason.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flow_history::{Author, Component, Error, History, Tuning};
use flow_history_tests::{Chance, skip, thoroughness};

use crate::processes::{check_witness, numbers, signal, spawn};

/// Runs a command; what it says where it fails.
fn run(command: &mut Command) -> Result<String, String> {
    let named = format!("{command:?}");
    let output = command.output().map_err(|error| format!("{named}: {error}"))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(format!("{named}: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}

/// A file system that is mounted, until this is dropped.
struct Mounted(PathBuf);

impl Mounted {
    fn new(arguments: &[&str], what: &Path, at: &Path) -> Result<Self, String> {
        std::fs::create_dir_all(at).unwrap();
        run(Command::new("mount").args(arguments).arg(what).arg(at))?;
        Ok(Self(at.to_owned()))
    }

    fn unmount(self) {
        run(Command::new("umount").arg(&self.0)).unwrap();
        std::mem::forget(self);
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = run(Command::new("umount").arg("-l").arg(&self.0));
    }
}

/// A file of so many MiB with an ext4 in it.
fn ext4(image: &Path, mib: u64, arguments: &[&str]) -> Result<(), String> {
    std::fs::File::create(image).unwrap().set_len(mib << 20).unwrap();
    run(Command::new("mkfs.ext4").args(["-q", "-F", "-m0"]).args(arguments).arg(image)).map(drop)
}

/// Where the loop device of an image is in the kernel's own tree.
fn device_of(image: &Path) -> PathBuf {
    let found = run(Command::new("losetup").args(["-n", "-O", "NAME", "-j"]).arg(image)).unwrap();
    Path::new("/sys/block").join(found.trim().trim_start_matches("/dev/"))
}

/// Makes the loop device of an image hand on one page of the disk at a time. Where a longer request is kept only in part,
/// the device (Linux 6.18) says that all of it was: a lie that nobody could withstand, and not the fault that is tried here.
fn page_by_page(image: &Path) -> Result<(), String> {
    let setting = device_of(image).join("queue/max_sectors_kb");
    std::fs::write(&setting, "4").map_err(|error| format!("{}: {error}", setting.display()))
}

/// Text that no compression makes small.
fn noise(chance: &mut Chance, bytes: usize) -> String {
    (0..bytes).map(|_| char::from(b'!' + (chance.bits() >> 40) as u8 % 90)).collect()
}

/// On a file system of 24 MiB on a disk of 6: the system takes what is written, fails one sync, forgets what it covered, and
/// says that the next one went well.
fn fail_a_sync(dir: &Path, seal: bool) -> Result<(), String> {
    let disk = Mounted::new(&["-t", "tmpfs", "-o", "size=6M"], Path::new("none"), &dir.join("disk"))?;
    let image = disk.0.join("image");
    ext4(&image, 24, &["-O", "^has_journal", "-b", "4096"])?;
    let at = dir.join("mounted");
    let mounted = Mounted::new(&["-o", "loop,errors=continue"], &image, &at)?;
    page_by_page(&image)?;
    let path = at.join("history");
    let mut tuning = Tuning::default();
    tuning.seal = seal;
    let history = History::options().tuning(tuning).open(&path).unwrap();
    let (alice, mut chance) = (Author::user("alice"), Chance::new(4));
    let mut append = |history: &History, at: u64| {
        let part = Component::new(format!("part-{at}"), "part").field("text", noise(&mut chance, 100_000));
        history.change(&alice, "").add(part).append()
    };
    let mut acknowledged = 0;
    let failed = loop {
        match append(&history, acknowledged) {
            Ok(id) => acknowledged = id.seq().0,
            Err(error) => break error,
        }
        assert!(acknowledged < 300, "the disk never failed");
    };
    assert!(matches!(failed, Error::Poisoned { .. }), "{failed}");
    for _ in 0..3 {
        assert!(matches!(append(&history, 999), Err(Error::Poisoned { .. })));
        assert!(matches!(history.flush(), Err(Error::Poisoned { .. })));
    }
    assert_eq!(history.version().seq().0, acknowledged, "what is shown is what was acknowledged");
    history.at(acknowledged / 2).unwrap().to_flow().unwrap();
    drop(history);
    // What the system still holds in memory goes, and the disk grows.
    mounted.unmount();
    run(Command::new("mount").args(["-o", "remount,size=64M"]).arg(&disk.0))?;
    let mounted = Mounted::new(&["-o", "loop,errors=continue"], &image, &at)?;
    let recovered = History::open_read_only(&path).unwrap().version().seq().0;
    assert!(
        (acknowledged..=acknowledged + 1).contains(&recovered),
        "{acknowledged} acknowledged, {recovered} recovered"
    );
    let history = History::open(&path).unwrap();
    for at in 1_000..1_003 {
        append(&history, at).unwrap();
    }
    history.verify().unwrap();
    history.close().unwrap();
    mounted.unmount();
    disk.unmount();
    eprintln!(
        "a sync that the system failed, sealing {seal}: {acknowledged} acknowledged, {recovered} recovered"
    );
    Ok(())
}

#[test]
fn a_sync_that_the_system_fails_poisons_and_takes_nothing_that_was_acknowledged() {
    for seal in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        if let Err(why) = fail_a_sync(dir.path(), seal) {
            return skip(&format!("real_disks: a sync that the system fails: {why}"));
        }
    }
}

/// How many writes the loop device of an image has finished, and how many requests it has under way.
fn writes_of(image: &Path) -> (u64, u64) {
    let told = std::fs::read_to_string(device_of(image).join("stat")).unwrap();
    let numbers: Vec<u64> = told.split_whitespace().map(|number| number.parse().unwrap()).collect();
    (numbers[4], numbers[8])
}

/// The bytes of a disk at one moment: nothing was written while they were copied.
fn copy_at_a_moment(image: &Path, copy: &Path) {
    for _ in 0..50 {
        let before = writes_of(image);
        run(Command::new("cp").arg("--sparse=always").arg(image).arg(copy)).unwrap();
        if before.1 == 0 && writes_of(image) == before {
            return;
        }
    }
    panic!("the disk is never at rest");
}

fn cut_power(dir: &Path, setting: u64, cuts: usize) -> Result<u64, String> {
    let (image, copy) = (dir.join("image"), dir.join("copy"));
    ext4(&image, 32, &[])?;
    let mounted = Mounted::new(&["-o", "loop"], &image, &dir.join("mounted"))?;
    let path = mounted.0.join("history");
    let mut child = spawn(&format!("writer {setting}"), &path);
    let told = Arc::new(Mutex::new(String::new()));
    let (output, hears) = (child.stdout.take().unwrap(), Arc::clone(&told));
    let reading = std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            let mut told = hears.lock().unwrap();
            told.push_str(&line);
            told.push('\n');
        }
    });
    let mut chance = Chance::new(setting);
    let mut newest = 0;
    for cut in 0..cuts {
        std::thread::sleep(Duration::from_micros(chance.below(40_000) as u64));
        signal(&child, "STOP");
        copy_at_a_moment(&image, &copy);
        // What it said before it was stopped is heard to the end.
        let mut heard = usize::MAX;
        while std::mem::replace(&mut heard, told.lock().unwrap().len()) != heard {
            std::thread::sleep(Duration::from_millis(20));
        }
        let told = told.lock().unwrap().clone();
        let left = Mounted::new(&["-o", "loop"], &copy, &dir.join("left")).unwrap();
        let what = format!("setting {setting}, power cut {cut}");
        newest = check_witness(&left.0.join("history"), &told, 0, &what);
        left.unmount();
        signal(&child, "CONT");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    reading.join().unwrap();
    assert!(numbers(&told.lock().unwrap(), "acknowledged ").count() > cuts, "the power was always off");
    mounted.unmount();
    Ok(newest)
}

#[test]
fn whatever_a_power_cut_leaves_of_a_real_file_system_has_all_that_was_acknowledged() {
    let cuts = 8 * thoroughness();
    let mut versions = Vec::new();
    // Small segments; small segments and buffered; as a host has it.
    for setting in [4, 2, 1] {
        let dir = tempfile::tempdir().unwrap();
        match cut_power(dir.path(), setting, cuts) {
            Ok(newest) => versions.push(newest),
            Err(why) => return skip(&format!("real_disks: a power cut: {why}")),
        }
    }
    eprintln!("power cuts on ext4: {} of each of three writers, up to versions {versions:?}", cuts);
    assert!(versions.iter().all(|newest| *newest > 0), "{versions:?}");
}
