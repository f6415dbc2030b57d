//! The files that the daemon has asked for and that wait for a reader.
//!
//! The daemon asks for all files it wants at once. Its requests are taken as they come, however slowly
//! the contents leave: a request is a few bytes, and a peer that lets tens of thousands of them lie in
//! the connection is cut off by the HTTP/2 library as one that floods it. There are never more than the
//! files that were announced, four bytes each.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Ids of files, from the conversation to the readers.
#[derive(Debug, Default)]
pub(super) struct Asked {
    queue: Mutex<Queue>,
    more: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    ids: VecDeque<u32>,
    closed: bool,
}

/// Closes the queue when the conversation is over, however it ends.
pub(super) struct Closing<'a>(pub(super) &'a Asked);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.queue().closed = true;
        self.0.more.notify_all();
    }
}

impl Asked {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        // It is whole after each call, whoever panicked.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a file.
    pub(super) fn push(&self, id: u32) {
        self.queue().ids.push_back(id);
        self.more.notify_one();
    }

    /// The next file, if one waits.
    pub(super) fn waiting(&self) -> Option<u32> {
        let mut queue = self.queue();
        if queue.closed {
            return None;
        }
        queue.ids.pop_front()
    }

    /// Waits for the next file; `None` when the conversation is over.
    pub(super) fn next(&self) -> Option<u32> {
        let mut queue = self.queue();
        loop {
            if queue.closed {
                return None;
            }
            if let Some(id) = queue.ids.pop_front() {
                return Some(id);
            }
            queue = self
                .more
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_come_in_order_and_none_after_the_end() {
        let asked = Asked::default();
        asked.push(3);
        asked.push(1);
        asked.push(2);
        assert_eq!((asked.next(), asked.waiting()), (Some(3), Some(1)));
        drop(Closing(&asked));
        assert_eq!((asked.next(), asked.waiting()), (None, None));
    }
}
