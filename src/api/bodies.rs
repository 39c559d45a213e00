//! The memory that bodies may take: all of those that are arriving or being worked on, together, decompressed. What
//! would be more is refused as it comes (503, to be sent again).

use crate::error::Result;
use crate::store::StoreError;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Four of the largest.
pub const BODIES_BYTES_MAX: usize = 4 * super::BODY_BYTES_MAX;

/// All of them.
#[derive(Clone, Default)]
pub struct Bodies(Arc<AtomicUsize>);

impl Bodies {
    /// A body that is about to come.
    pub fn another(&self) -> Held {
        Held { all: Arc::clone(&self.0), bytes: 0 }
    }

    /// Bytes of all that are held.
    pub fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// One's share, until it is let go.
pub struct Held {
    all: Arc<AtomicUsize>,
    bytes: usize,
}

impl Held {
    /// # Errors
    /// All together would be more than [`BODIES_BYTES_MAX`].
    pub fn grow(&mut self, bytes: usize) -> Result<()> {
        let before = self.all.fetch_add(bytes, Ordering::SeqCst);
        self.bytes += bytes;
        // What is too much is let go with the rest.
        if before + bytes > BODIES_BYTES_MAX { Err(StoreError::Busy.into()) } else { Ok(()) }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Ordering::SeqCst);
    }
}
