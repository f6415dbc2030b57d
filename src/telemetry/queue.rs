//! The queue between those who record spans and a thread that exports or stores them.
//!
//! A channel of the standard library would do, but it takes the memory for its bound when it is made, and
//! hands over one item a lock. This one grows as it is needed, and is emptied a batch at a time.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often it is looked whether there is room.
const ROOM: Duration = Duration::from_millis(5);

/// A bounded queue. Clones are the same queue.
pub(super) struct Queue<T>(Arc<Inner<T>>);

struct Inner<T> {
    state: Mutex<State<T>>,
    bound: usize,
    /// As many items are worth waking up for.
    batch: usize,
    ready: Condvar,
}

struct State<T> {
    items: VecDeque<T>,
    closed: bool,
}

impl<T> Queue<T> {
    /// Holds `bound` items at most, and hands over `batch` at once.
    pub(super) fn new(bound: usize, batch: usize) -> Self {
        let state = State {
            items: VecDeque::new(),
            closed: false,
        };
        Self(Arc::new(Inner {
            state: Mutex::new(state),
            bound,
            batch,
            ready: Condvar::new(),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        // Whole after each call, whoever panicked.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts in an item, never waiting; gives it back if the queue is full or closed.
    pub(super) fn push(&self, item: T) -> Result<(), T> {
        let mut state = self.state();
        if state.closed || state.items.len() >= self.0.bound {
            return Err(item);
        }
        state.items.push_back(item);
        let enough = state.items.len() == self.0.batch;
        drop(state);
        if enough {
            self.0.ready.notify_one();
        }
        Ok(())
    }

    /// Puts in an item, waiting for room; false if the queue is closed.
    pub(super) fn push_waiting(&self, mut item: T) -> bool {
        loop {
            match self.push(item) {
                Ok(()) => return true,
                Err(_) if self.state().closed => return false,
                Err(back) => item = back,
            }
            std::thread::sleep(ROOM);
        }
    }

    /// Takes a batch: a full one, or what there is after `wait`, or when no more will come. `None`: it is
    /// closed, and empty.
    pub(super) fn take(&self, wait: Duration) -> Option<Vec<T>> {
        let few = |state: &mut State<T>| !state.closed && state.items.len() < self.0.batch;
        let waited = self.0.ready.wait_timeout_while(self.state(), wait, few);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if state.closed && state.items.is_empty() {
            return None;
        }
        let count = state.items.len().min(self.0.batch);
        Some(state.items.drain(..count).collect())
    }

    /// No more items are taken in.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.0.ready.notify_one();
    }
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Queue({} of {})", self.state().items.len(), self.0.bound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_WAIT: Duration = Duration::ZERO;
    const LONG: Duration = Duration::from_secs(3600);

    #[test]
    fn what_is_beyond_the_bound_comes_back() {
        let queue = Queue::new(2, 8);
        assert_eq!([1, 2, 3].map(|n| queue.push(n)), [Ok(()), Ok(()), Err(3)]);
        assert_eq!(queue.take(NO_WAIT), Some(vec![1, 2]));
        assert_eq!(queue.take(NO_WAIT), Some(vec![]));
        assert_eq!(queue.push(3), Ok(()));
    }

    #[test]
    fn a_closed_queue_gives_what_is_left_and_takes_no_more() {
        let queue = Queue::new(9, 2);
        for n in 1..=3 {
            queue.push(n).unwrap();
        }
        queue.close();
        assert_eq!(queue.push(4), Err(4));
        let left: Vec<_> = std::iter::from_fn(|| queue.take(LONG)).collect();
        assert_eq!(left, [vec![1, 2], vec![3]]);
    }

    #[test]
    fn a_full_batch_and_the_end_wake_the_one_who_waits() {
        let queue = Queue::new(100, 10);
        let taker = queue.clone();
        let taken =
            std::thread::spawn(move || std::iter::from_fn(|| taker.take(LONG)).collect::<Vec<_>>());
        for n in 0..25 {
            queue.push(n).unwrap();
        }
        queue.close();
        let taken = taken.join().unwrap();
        assert_eq!(taken.concat(), (0..25).collect::<Vec<_>>());
    }
}
