//! The spans of a run, column by column: half the bytes of one object a span, and read in one go.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use serde::Serialize;

use super::strings::Strings;
use super::tree::{Row, What, rows};
use crate::trace::model::{Attributes, Kind, Resource, Span, SpanId, Status, Value};

/// The rows of the waterfall, in its order: each parent before its children.
///
/// All columns have one entry a row. Texts are places in [`RunView::strings`](super::RunView).
#[derive(Debug, Default, Serialize)]
pub struct Spans {
    /// Ids, 16 hex digits.
    pub id: Vec<String>,
    /// The row it hangs under; -1 at the top.
    pub parent: Vec<i64>,
    /// How deep it hangs; 0 at the top.
    pub depth: Vec<u32>,
    /// One past the last row below it.
    pub end: Vec<usize>,
    /// The name.
    pub name: Vec<u32>,
    /// Who made it: a place in [`RunView::resources`](super::RunView).
    pub resource: Vec<u32>,
    /// 0 internal, 1 client, 2 server, 3 producer, 4 consumer.
    pub kind: Vec<u8>,
    /// Start, in microseconds after the run's zero.
    pub start: Vec<u64>,
    /// Duration, in microseconds.
    pub dur: Vec<u64>,
    /// The part of the duration in which no child was at work, in microseconds.
    pub self_us: Vec<u64>,
    /// [`Flag`]s, added up.
    pub flags: Vec<u16>,
    /// Why it failed: the text's place; -1 if it did not.
    pub error: Vec<i64>,
    /// Attributes: places of key and value in turn.
    pub attributes: Vec<Vec<u32>>,
    /// Events, for the rows that have any.
    pub events: BTreeMap<usize, Vec<EventRow>>,
    /// Spans that it refers to, as `[trace, span]`, for the rows that have any.
    pub links: BTreeMap<usize, Vec<[String; 2]>>,
}

/// Something that happened during a span: when (microseconds after zero), the name's place, and places
/// of key and value in turn.
#[derive(Debug, PartialEq, Serialize)]
pub struct EventRow(pub u64, pub u32, pub Vec<u32>);

/// Who made a span.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct ResourceRow {
    /// `service.name`: the text's place.
    pub service: u32,
    /// Places of key and value in turn.
    pub attributes: Vec<u32>,
}

/// What is worth a mark on a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Flag {
    /// It failed.
    Error = 1,
    /// The step's result was in the cache.
    Cached = 2,
    /// It ended because something else did.
    Cancelled = 4,
    /// It is a build step.
    Step = 8,
    /// It is not in the trace; its children name it as their parent.
    Missing = 16,
    /// A missing one that is known to be another program's.
    Remote = 32,
    /// An earlier row has the same id.
    Again = 64,
    /// Another build had begun it.
    Shared = 128,
    /// It failed, and was tried again.
    Retried = 256,
    /// Its parents go round in a circle.
    Circle = 512,
    /// It has not ended yet: its run is under way. With [`Flag::Missing`], its name is not known either.
    Open = 1024,
}

impl Spans {
    /// Lays the spans out; `zero_ns` is the run's zero, `remote` the parent that is another program's.
    pub(super) fn new(
        spans: &[Span],
        zero_ns: u64,
        remote: Option<SpanId>,
        running: bool,
        strings: &mut Strings,
    ) -> (Self, Vec<ResourceRow>) {
        let mut makers = Makers::default();
        let mut columns = Self::default();
        let rows = rows(spans);
        let busy = busy_below(&rows);
        for (place, row) in rows.iter().enumerate() {
            let micros = |ns: u64| ns.saturating_sub(zero_ns) / 1_000;
            columns
                .parent
                .push(row.parent.and_then(|p| i64::try_from(p).ok()).unwrap_or(-1));
            columns.depth.push(row.depth);
            columns.end.push(row.end);
            match row.what {
                What::Span { span, again, cut } => {
                    let (start, end) = (micros(span.start_ns), micros(span.end_ns));
                    columns.id.push(span.id.to_string());
                    columns.name.push(strings.place(&span.name));
                    columns.resource.push(makers.place(&span.resource, strings));
                    columns.kind.push(kind(span.kind));
                    columns.start.push(start);
                    columns.dur.push(end.saturating_sub(start));
                    let busy_us = busy.get(place).copied().unwrap_or(0) / 1_000;
                    columns
                        .self_us
                        .push(end.saturating_sub(start).saturating_sub(busy_us));
                    columns.flags.push(flags(span, again, cut));
                    columns.error.push(match &span.status {
                        Status::Error(text) => i64::from(strings.place(text)),
                        _ => -1,
                    });
                    columns.attributes.push(places(&span.attributes, strings));
                    columns.more(place, span, zero_ns, strings);
                }
                What::Missing {
                    id,
                    start_ns,
                    end_ns,
                } => {
                    let (start, end) = (micros(start_ns), micros(end_ns));
                    let (name, why) = match (Some(id) == remote, running) {
                        (true, _) => ("span of the calling program", Flag::Remote as u16),
                        (false, true) => ("not ended yet", Flag::Open as u16),
                        (false, false) => ("missing span", 0),
                    };
                    let nobody = Arc::new(Resource::default());
                    columns.id.push(id.to_string());
                    columns.name.push(strings.place(name));
                    columns.resource.push(makers.place(&nobody, strings));
                    columns.kind.push(0);
                    columns.start.push(start);
                    columns.dur.push(end.saturating_sub(start));
                    columns.self_us.push(0);
                    columns.flags.push(Flag::Missing as u16 | why);
                    columns.error.push(-1);
                    columns.attributes.push(Vec::new());
                }
            }
        }
        (columns, makers.rows)
    }

    /// Marks the rows with these ids.
    pub(super) fn mark(&mut self, ids: &HashSet<String>, flag: Flag) {
        for (id, flags) in self.id.iter().zip(&mut self.flags) {
            if ids.contains(id) {
                *flags |= flag as u16;
            }
        }
    }

    /// What only few spans have.
    fn more(&mut self, place: usize, span: &Span, zero_ns: u64, strings: &mut Strings) {
        if !span.events.is_empty() {
            let events = span.events.iter().map(|event| {
                let at_us = event.at_ns.saturating_sub(zero_ns) / 1_000;
                let name = strings.place(&event.name);
                EventRow(at_us, name, places(&event.attributes, strings))
            });
            self.events.insert(place, events.collect());
        }
        if !span.links.is_empty() {
            let links = span
                .links
                .iter()
                .map(|link| [link.trace.to_string(), link.span.to_string()]);
            self.links.insert(place, links.collect());
        }
    }
}

/// The resources seen so far.
#[derive(Default)]
struct Makers {
    rows: Vec<ResourceRow>,
    equal: HashMap<ResourceRow, u32>,
    /// Spans of one process mostly share one resource.
    known: HashMap<*const Resource, u32>,
}

impl Makers {
    fn place(&mut self, resource: &Arc<Resource>, strings: &mut Strings) -> u32 {
        let address = Arc::as_ptr(resource);
        // A placeholder's resource is not kept alive: its address may come again.
        let keep = !resource.service.is_empty();
        if let Some(place) = self.known.get(&address).filter(|_| keep) {
            return *place;
        }
        let row = ResourceRow {
            service: strings.place(&resource.service),
            attributes: places(&resource.attributes, strings),
        };
        let next = u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
        let place = *self.equal.entry(row.clone()).or_insert(next);
        if place == next {
            self.rows.push(row);
        }
        if keep {
            self.known.insert(address, place);
        }
        place
    }
}

fn places(attributes: &Attributes, strings: &mut Strings) -> Vec<u32> {
    let mut places = Vec::with_capacity(attributes.len() * 2);
    for (key, value) in attributes {
        places.push(strings.place(key));
        places.push(match value {
            Value::Str(text) => strings.place(text),
            other => strings.place(&other.to_string()),
        });
    }
    places
}

fn kind(kind: Kind) -> u8 {
    match kind {
        Kind::Internal => 0,
        Kind::Client => 1,
        Kind::Server => 2,
        Kind::Producer => 3,
        Kind::Consumer => 4,
    }
}

fn flags(span: &Span, again: bool, cut: bool) -> u16 {
    let marks = [
        (span.is_error(), Flag::Error),
        (span.flag("buildkit.cached") == Some(true), Flag::Cached),
        (span.flag("dagger.cancelled") == Some(true), Flag::Cancelled),
        (span.attribute("buildkit.cached").is_some(), Flag::Step),
        (again, Flag::Again),
        (span.flag("buildkit.shared") == Some(true), Flag::Shared),
        (span.flag("dagger.retried") == Some(true), Flag::Retried),
        (cut, Flag::Circle),
    ];
    marks
        .iter()
        .filter(|(set, _)| *set)
        .fold(0, |sum, (_, flag)| sum | *flag as u16)
}

/// For each row the time in which at least one child was at work, inside its own time; nanoseconds.
fn busy_below(rows: &[Row<'_>]) -> Vec<u64> {
    let mut busy = vec![0_u64; rows.len()];
    let mut reached = vec![0_u64; rows.len()];
    let times = |place: usize| match rows.get(place).map(|row| row.what) {
        Some(What::Span { span, .. }) => (span.start_ns, span.end_ns),
        Some(What::Missing {
            start_ns, end_ns, ..
        }) => (start_ns, end_ns),
        None => (0, 0),
    };
    // Siblings come in order of start: one sweep.
    for (place, row) in rows.iter().enumerate() {
        let Some(parent) = row.parent else { continue };
        let ((from, to), (opens, closes)) = (times(place), times(parent));
        if let (Some(busy), Some(reached)) = (busy.get_mut(parent), reached.get_mut(parent)) {
            let from = from.max(opens).max(*reached);
            let to = to.min(closes);
            *busy += to.saturating_sub(from);
            *reached = to.max(*reached);
        }
    }
    busy
}
