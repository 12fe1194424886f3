//! Two steps of one piece of work, each on a thread: what the first makes the second takes, in order.

use std::sync::mpsc;

/// Batches that may wait between the two: enough that neither stands still.
const BETWEEN: usize = 2;

/// Makes on a thread of its own, a few batches ahead of taking. Whoever makes is told `false` when taking has failed,
/// whose failure is then what counts.
pub(super) fn side_by_side<B: Send, T: Send, E: Send>(
    make: impl FnOnce(&mut dyn FnMut(B) -> bool) -> Result<T, E> + Send,
    take: impl FnMut(B) -> Result<(), E>,
) -> Result<T, E> {
    let (send, receive) = mpsc::sync_channel::<B>(BETWEEN);
    std::thread::scope(|scope| {
        let making = scope.spawn(move || make(&mut |batch| send.send(batch).is_ok()));
        let taken = receive.iter().try_for_each(take);
        drop(receive);
        let made = making.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        taken.and(made)
    })
}
