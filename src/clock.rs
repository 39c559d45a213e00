//! The clock and the source of new ids, injected so that tests and the demo can set them.

use jiff::Timestamp;

pub trait Clock: Send + Sync {
    fn now(&self) -> Timestamp;

    /// A new logical id.
    fn new_id(&self) -> String {
        uuid::Uuid::new_v4().to_string()
    }
}

/// The machine's clock.
#[derive(Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}
