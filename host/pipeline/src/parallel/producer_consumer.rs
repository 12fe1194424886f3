//! Two-thread hand-over: a producer and a consumer work at the same time, and the consumer takes the items in order.

use std::sync::mpsc;

/// Maximum number of items between the two: enough that neither waits for the other.
const MAX_BETWEEN: usize = 2;

/// Runs `make` on a thread of its own, a few items ahead of `take`. `make` receives `false` from its sender when `take`
/// has failed. Then the error of `take` is returned.
pub(crate) fn producer_consumer<B: Send, T: Send, E: Send>(
    make: impl FnOnce(&mut dyn FnMut(B) -> bool) -> Result<T, E> + Send,
    take: impl FnMut(B) -> Result<(), E>,
) -> Result<T, E> {
    let (send, receive) = mpsc::sync_channel::<B>(MAX_BETWEEN);
    std::thread::scope(|scope| {
        let making = scope.spawn(move || make(&mut |batch| send.send(batch).is_ok()));
        let taken = receive.iter().try_for_each(take);
        drop(receive);
        let made = making.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        taken.and(made)
    })
}
