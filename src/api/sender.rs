//! Senders who trickle: whoever sends a body more slowly than [`RATE_MIN`] on average, with [`GRACE`] to begin with and
//! for pauses, is cut off. An honest slow line is not: what it sends buys it time.
//!
//! At this rate the largest body ([`super::BODY_BYTES_MAX`]) takes some 70 minutes and holds no more memory than it
//! has sent; a sender of nothing holds a connection for [`GRACE`].

use actix_web::dev;
use actix_web::error::PayloadError;
use actix_web::web::Bytes;
use futures_util::Stream;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::time::Sleep;

/// Bytes a second, on average.
pub const RATE_MIN: f64 = 16.0 * 1024.0;
/// For how long nothing may come.
pub const GRACE: Duration = Duration::from_secs(30);

struct Paced {
    body: dev::Payload,
    /// Seconds that the sender has left.
    left: f64,
    /// Since when we wait for more.
    waits: Option<Instant>,
    alarm: Pin<Box<Sleep>>,
    cut: Arc<AtomicBool>,
}

/// The body, as long as it comes fast enough; and whether it was cut off because it did not.
pub fn paced(body: dev::Payload) -> (dev::Payload, Arc<AtomicBool>) {
    let cut = Arc::<AtomicBool>::default();
    let alarm = Box::pin(tokio::time::sleep(GRACE));
    let paced = Paced { body, left: GRACE.as_secs_f64(), waits: None, alarm, cut: Arc::clone(&cut) };
    (dev::Payload::Stream { payload: Box::pin(paced) }, cut)
}

impl Stream for Paced {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match Pin::new(&mut self.body).poll_next(cx) {
            Poll::Ready(Some(Ok(bytes))) => {
                if let Some(since) = self.waits.take() {
                    self.left -= since.elapsed().as_secs_f64();
                }
                self.left = (self.left + bytes.len() as f64 / RATE_MIN).min(GRACE.as_secs_f64());
                Poll::Ready(Some(Ok(bytes)))
            }
            Poll::Pending => {
                let left = Duration::from_secs_f64(self.left.max(0.0));
                let end = *self.waits.get_or_insert_with(Instant::now) + left;
                self.alarm.as_mut().reset(end.into());
                if self.alarm.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                tracing::info!("a sender who sent a body too slowly was cut off");
                self.cut.store(true, Ordering::Relaxed);
                Poll::Ready(Some(Err(PayloadError::Io(std::io::ErrorKind::TimedOut.into()))))
            }
            other => other,
        }
    }
}
