//! `growth`: our own rows as histories get longer and flows larger, as tables and plots.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;

use crate::compare::workload::{Known, Question, known_of, pump, small_change, small_setup};
use crate::compare::{Ending, results::figure, stopped};
use crate::peers::{Failure, Kind, Outcome, Store, broken, built};
use crate::plain::{Change, changes_of, flow_hash};
use crate::{Floor, Place, Uniform, bytes_on_disk, median};

mod plot; // lines on logarithmic axes, as SVG

/// The command line of `growth`.
#[derive(Clone, Debug, Args)]
pub struct Growth {
    /// Changes after the setup, at 10,000 components.
    #[arg(long, value_delimiter = ',', default_value = "100000,1000000")]
    changes: Vec<u64>,
    /// Components of the setup, with 100,000 changes after it.
    #[arg(long, value_delimiter = ',', default_value = "1000,10000,100000")]
    components: Vec<usize>,
    /// Where the plots and tables go.
    #[arg(long, default_value = "docs/benchmarks")]
    into: PathBuf,
    /// Seconds after which no further size is begun.
    #[arg(long, default_value_t = 1_800)]
    seconds: u64,
    /// Where histories are written, in a directory that is removed at the end. By default that of the build.
    #[arg(long)]
    directory: Option<PathBuf>,
}

/// Components where changes grow, and changes where components do.
const COMPONENTS: usize = 10_000;
const CHANGES: u64 = 100_000;
/// Questions that are asked of each size.
const QUESTIONS: usize = 60;
/// Durable appends of each size.
const APPENDS: u64 = 400;
/// Changes at the end by which buffered appends are measured.
const LAST: u64 = 50_000;

/// A row, and its figure at one size.
type Figure = (&'static str, &'static str, f64);

/// The rows at one size.
struct Point {
    size: u64,
    figures: Vec<Figure>,
}

fn changes(components: usize) -> impl Iterator<Item = Change> {
    changes_of(Uniform::new(components, u64::MAX))
}

fn micros(elapsed: Duration) -> f64 {
    elapsed.as_secs_f64() * 1e6
}

#[expect(clippy::cast_precision_loss, reason = "a count")]
fn real(count: u64) -> f64 {
    count as f64
}

impl Growth {
    /// Runs it, and writes tables and plots.
    ///
    /// # Errors
    /// What our own engine says, and what cannot be written.
    pub fn run(&self) -> Outcome<Ending> {
        std::fs::create_dir_all(&self.into).map_err(broken)?;
        let began = Instant::now();
        let place = match &self.directory {
            Some(directory) => Place::inside(directory),
            None => Place::new(),
        };
        let place = place.map_err(broken)?;
        let lengths: Vec<_> = self.changes.iter().map(|changes| (COMPONENTS, *changes, *changes)).collect();
        let sizes: Vec<_> =
            self.components.iter().map(|components| (*components, CHANGES, *components as u64)).collect();
        for (name, what, sizes) in [("changes", "changes", lengths), ("components", "components", sizes)] {
            let mut points = Vec::new();
            for (components, changes, size) in sizes {
                if stopped() || began.elapsed().as_secs() > self.seconds {
                    say(&format!("{size} {what}: left out, the time was over"))?;
                    continue;
                }
                say(&format!("{components} components, {changes} changes"))?;
                points.push(Point { size, figures: measure(&place, components, changes)? });
            }
            if points.is_empty() {
                continue;
            }
            let table = table(what, &points);
            plot::write(&self.into.join(format!("growth-{name}.svg")), what, &points)?;
            write_aside(&self.into.join(format!("growth-{name}.md")), &table)?;
            writeln!(io::stdout(), "{table}").map_err(broken)?;
        }
        Ok(if stopped() { Ending::Stopped } else { Ending::Whole })
    }
}

fn say(text: &str) -> Outcome<()> {
    writeln!(io::stderr(), "{text}").map_err(broken)
}

fn write_aside(path: &Path, text: &str) -> Outcome<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(directory).map_err(broken)?;
    file.write_all(text.as_bytes()).map_err(broken)?;
    file.persist(path).map_err(broken)?;
    // What is made aside is for its maker alone; this is for everybody.
    let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(path, everybody).map_err(broken)
}

/// All rows of a history of so many components and changes.
fn measure(place: &Place, components: usize, count: u64) -> Outcome<Vec<Figure>> {
    let peers = built();
    let ours = peers.first().ok_or(Failure::Cannot("there is no engine"))?;
    let setup = components.div_ceil(1_000) as u64;
    let versions = setup + count;
    let path = place.fresh();
    let mut figures: Vec<Figure> = Vec::new();

    let mut store = ours.open(&path, Kind::Buffered)?;
    let mut stream = changes(components);
    let mut elapsed = Duration::ZERO;
    let mut done = 0;
    while done < versions {
        let until =
            if done < versions.saturating_sub(LAST) { versions.saturating_sub(LAST) } else { versions };
        let slice: Vec<Change> =
            stream.by_ref().take(usize::try_from((until - done).min(2_000)).unwrap_or(1)).collect();
        let (timed, changes) = (done >= versions.saturating_sub(LAST), slice.len() as u64);
        let started = Instant::now();
        slice.into_iter().try_for_each(|change| store.append(change))?;
        if timed {
            elapsed += started.elapsed();
        }
        done += changes;
    }
    figures.push(("buffered append", "us", micros(elapsed) / real(LAST.min(versions))));
    store.close()?;
    let bytes = bytes_on_disk(&path).map_err(broken)?;
    figures.push(("bytes for a change", "bytes", real(bytes) / real(versions)));

    let known = known_of(changes(components), setup, &[versions], QUESTIONS);
    let known = known.get(&versions).ok_or(Failure::Cannot("nothing is known of it"))?;
    let started = Instant::now();
    let mut store = ours.open(&path, Kind::Durable)?;
    figures.push(("open", "us", micros(started.elapsed())));
    if flow_hash(&store.contents(versions)?) != known.hash {
        return Err(Failure::Broke("the flow read back is not the one appended".to_owned()));
    }
    figures.extend(asked(store.as_mut(), known)?);
    figures.extend(appended(place, store.as_mut(), known)?);
    let started = Instant::now();
    let replayed = store.replay()?;
    figures.push(("replay, a change", "us", micros(started.elapsed()) / real(replayed)));
    drop(store);
    std::fs::remove_dir_all(&path).map_err(broken)?;
    Ok(figures)
}

/// What a store is asked.
type Ask = fn(&mut dyn Store, &Question) -> Outcome<()>;

/// The rows that ask, with nothing kept in the process.
fn asked(store: &mut dyn Store, known: &Known) -> Outcome<Vec<Figure>> {
    let rows: [(&'static str, Ask); 5] = [
        ("component at a version", |store, asked| store.component(asked.version, &asked.id).map(|_| ())),
        ("flow at a version", |store, asked| store.flow(asked.version).map(|_| ())),
        ("difference", |store, asked| store.difference(asked.version, asked.other).map(|_| ())),
        ("50 changes of a component", |store, asked| store.component_log(&asked.id, 50).map(|_| ())),
        ("50 newest changes", |store, _| store.log_page(50).map(|_| ())),
    ];
    let mut figures = Vec::new();
    for (row, ask) in rows {
        let mut times = Vec::new();
        for question in &known.questions {
            store.forget();
            let started = Instant::now();
            ask(store, question)?;
            times.push(micros(started.elapsed()));
        }
        figures.push((row, "us", median(&times)));
    }
    Ok(figures)
}

/// The rows that append durably, each time beside the floor.
fn appended(place: &Place, store: &mut dyn Store, known: &Known) -> Outcome<Vec<Figure>> {
    let mut floor = Floor::new(place).map_err(broken)?;
    let mut floors = vec![1e6 / floor.rate(200).map_err(broken)?];
    store.append(small_setup(1))?;
    let mut times = Vec::new();
    for number in 0..APPENDS {
        let change = small_change(&pump(0), "note", number);
        let started = Instant::now();
        store.append(change)?;
        times.push(micros(started.elapsed()));
    }
    floors.push(1e6 / floor.rate(200).map_err(broken)?);
    let mut undos = Vec::new();
    for (number, (id, field)) in (0..).zip(&known.live) {
        store.append(small_change(id, field, number))?;
        let started = Instant::now();
        store.undo()?;
        undos.push(micros(started.elapsed()));
    }
    floors.push(1e6 / floor.rate(200).map_err(broken)?);
    let floor = median(&floors);
    Ok(vec![
        ("durable append", "x floor", median(&times) / floor),
        ("undo", "x floor", median(&undos) / floor),
    ])
}

fn table(what: &str, points: &[Point]) -> String {
    let mut out = format!("| {what} | unit |");
    points.iter().for_each(|point| {
        let _ = write!(out, " {} |", figure(real(point.size)));
    });
    let _ = write!(out, " last to first |\n|---|---|{}\n", "---:|".repeat(points.len() + 1));
    let Some(first) = points.first() else { return out };
    for (at, (row, unit, base)) in first.figures.iter().enumerate() {
        let _ = write!(out, "| {row} | {unit} |");
        let values: Vec<f64> =
            points.iter().filter_map(|point| point.figures.get(at).map(|figure| figure.2)).collect();
        values.iter().for_each(|value| {
            let _ = write!(out, " {} |", figure(*value));
        });
        let _ = writeln!(out, " {} |", values.last().map(|last| figure(last / base)).unwrap_or_default());
    }
    out
}
