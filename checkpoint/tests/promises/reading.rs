//! Goal: one component costs one page, whatever the size of the flow; the whole flow reads each page once.
//! Method: count pages, and reads and bytes through a `ReadAt` that counts.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use flow_history_checkpoint::{Checkpoint, CheckpointError, Part, ReadAt};
use flow_history_flow::{Flow, Slot};

use crate::flows::{bytes_of, small, wide};

#[derive(Default)]
struct Counting {
    bytes: Vec<u8>,
    reads: AtomicU64,
    read_bytes: AtomicU64,
    /// The read that fails, counted from one.
    fails_at: u64,
}

impl ReadAt for Counting {
    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        if self.reads.fetch_add(1, Ordering::Relaxed) + 1 == self.fails_at {
            return Err(io::Error::other("the disk says no"));
        }
        self.read_bytes.fetch_add(buf.len() as u64, Ordering::Relaxed);
        self.bytes.read_exact_at(offset, buf)
    }

    fn len(&self) -> io::Result<u64> {
        ReadAt::len(&self.bytes)
    }
}

#[test]
fn one_component_costs_one_page() {
    let flow = wide(5_000);
    let reader = Counting { bytes: bytes_of(&flow), ..Counting::default() };
    let checkpoint = Checkpoint::open(&reader).unwrap();
    let pages = u64::from(checkpoint.component_pages());
    assert!(pages > 20);
    assert_eq!((checkpoint.pages_read(), reader.reads.load(Ordering::Relaxed)), (0, 2));

    let before = reader.read_bytes.load(Ordering::Relaxed);
    assert!(checkpoint.component_in(Slot(2_500)).unwrap().is_some());
    assert_eq!((checkpoint.pages_read(), reader.reads.load(Ordering::Relaxed)), (1, 3));
    assert!(reader.read_bytes.load(Ordering::Relaxed) - before < 100_000);

    checkpoint.to_flow().unwrap();
    assert_eq!(checkpoint.pages_read(), 1 + pages);
}

#[test]
fn one_id_costs_a_page_of_the_index_and_the_page_of_its_component() {
    let flow = wide(5_000);
    let reader = Counting { bytes: bytes_of(&flow), ..Counting::default() };
    let checkpoint = Checkpoint::open(&reader).unwrap();
    let (mut reads, mut slots) = (0, 0);
    for (slot, component) in flow.iter().step_by(50) {
        let before = (checkpoint.pages_read(), reader.read_bytes.load(Ordering::Relaxed));
        assert_eq!(checkpoint.component(&component.id).unwrap().unwrap().0, slot);
        // One id in 256 or fewer has the hash of another.
        reads += checkpoint.pages_read() - before.0;
        assert!(reader.read_bytes.load(Ordering::Relaxed) - before.1 < 150_000);
        slots += 1;
    }
    assert!((2 * slots..2 * slots + 5).contains(&reads), "{reads} {slots}");

    let before = checkpoint.pages_read();
    assert!(checkpoint.slots_of_hash("nobody").unwrap().len() < 2);
    assert_eq!(checkpoint.pages_read() - before, 1);
    assert_eq!(checkpoint.children_of(Slot(0)).unwrap().len(), flow.children(&first_id(&flow)).len());
    assert_eq!(checkpoint.pages_read() - before, 2);
}

fn first_id(flow: &Flow) -> String {
    flow.component_in(Slot(0)).unwrap().id.to_string()
}

#[test]
fn a_slot_outside_of_every_page_costs_none() {
    let checkpoint = Checkpoint::open(bytes_of(&small())).unwrap();
    for slot in [4, 5, u32::MAX] {
        assert_eq!(checkpoint.component_in(Slot(slot)).unwrap(), None);
    }
    assert_eq!(checkpoint.pages_read(), 0);
    assert_eq!(checkpoint.children_of(Slot(u32::MAX)).unwrap(), []);
    // Slot 1 is a hole inside a page.
    assert_eq!(checkpoint.component_in(Slot(1)).unwrap(), None);
    assert_eq!(checkpoint.pages_read(), 1);
    assert!(matches!(checkpoint.page(1), Err(CheckpointError::Damaged { part: Part::Page(1), .. })));
}

#[test]
fn threads_read_pages_at_the_same_time() {
    let flow = wide(2_000);
    let checkpoint = Checkpoint::open(bytes_of(&flow)).unwrap();
    let count = std::thread::scope(|scope| {
        let numbers = 0..checkpoint.component_pages();
        let readers: Vec<_> = numbers
            .map(|number| {
                let checkpoint = &checkpoint;
                scope.spawn(move || checkpoint.page(number))
            })
            .collect();
        readers
            .into_iter()
            .map(|reader| reader.join().unwrap().unwrap().components().unwrap().len())
            .sum::<usize>()
    });
    assert_eq!(count, flow.len());
}

#[test]
fn a_read_that_fails_says_where_and_why() {
    let bytes = bytes_of(&small());
    for (fails_at, expected) in
        [(1, Part::Header), (2, Part::Directory), (3, Part::Attachment), (4, Part::Page(0))]
    {
        let reader = Counting { bytes: bytes.clone(), fails_at, ..Counting::default() };
        let read = || {
            let checkpoint = Checkpoint::open(&reader)?;
            checkpoint.attachment()?;
            checkpoint.to_flow()
        };
        let error = read().unwrap_err();
        assert!(matches!(&error, CheckpointError::Io { part, .. } if *part == expected), "{error:?}");
        let source = std::error::Error::source(&error).unwrap();
        assert_eq!(source.to_string(), "the disk says no");
    }
}
