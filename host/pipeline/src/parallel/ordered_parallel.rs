//! Ordered fan-out: several threads do one kind of work, and their results come in the order of the work.

use std::panic::resume_unwind;
use std::sync::mpsc::sync_channel;
use std::thread;

use crate::Interrupt;

/// Maximum number of threads of one job, which shares the machine with others.
const MAX_WORKERS: usize = 4;

/// Maximum number of items that each worker has: one that it works on, and one that waits.
const ITEMS_PER_WORKER: usize = 2;

/// Creates as many workers as there are cores, up to the maximum.
pub fn workers<W>(worker: impl FnMut() -> W) -> Vec<W> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    std::iter::repeat_with(worker).take(cores.min(MAX_WORKERS)).collect()
}

/// Distributes the items of `next` to the workers in turn, and calls `take` with each result in the order of the items.
/// So the outcome does not depend on the number of workers.
pub fn ordered_parallel<J: Send, R: Send>(
    workers: Vec<impl FnMut(J) -> R + Send>,
    mut next: impl FnMut() -> Result<Option<J>, Interrupt>,
    mut take: impl FnMut(R) -> Result<(), Interrupt>,
) -> Result<(), Interrupt> {
    let span = tracing::Span::current();
    thread::scope(|scope| {
        let (mut at_work, mut jobs, mut results) = (vec![], vec![], vec![]);
        for mut work in workers {
            let (hand, handed) = sync_channel::<J>(ITEMS_PER_WORKER);
            let (done, result) = sync_channel::<R>(ITEMS_PER_WORKER);
            let span = span.clone();
            at_work.push(scope.spawn(move || {
                let _within = span.enter();
                // The loop ends when no more items come, or the receiver of the results is dropped.
                handed.into_iter().try_for_each(|job| done.send(work(job)))
            }));
            jobs.push(hand);
            results.push(result);
        }
        let (mut handed, mut taken) = (0, 0);
        let all = jobs.len();
        let mut run = || loop {
            let job = if handed - taken < all * ITEMS_PER_WORKER { next()? } else { None };
            match job {
                // A failed send or receive means that the worker has panicked. The join below reports it.
                Some(job) => {
                    jobs[handed % all].send(job).map_err(|_| Interrupt::Cancelled)?;
                    handed += 1;
                }
                None if taken == handed => return Ok(()),
                None => {
                    take(results[taken % all].recv().map_err(|_| Interrupt::Cancelled)?)?;
                    taken += 1;
                }
            }
        };
        let ran = run();
        drop((jobs, results));
        for worker in at_work {
            if let Err(panic) = worker.join() {
                resume_unwind(panic);
            }
        }
        ran
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_work() {
        for workers in 1..=4_u64 {
            let spin = |job: u64| (0..(job * 7_919) % 5_000).fold(job, |sum, _| std::hint::black_box(sum));
            let (mut handed, mut taken) = (0, vec![]);
            let next = || {
                handed += 1;
                Ok((handed <= 500).then_some(handed))
            };
            let take = |result| {
                taken.push(result);
                Ok(())
            };
            ordered_parallel((0..workers).map(|_| spin).collect(), next, take).unwrap();
            assert_eq!(taken, (1..=500).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_first_that_fails_ends_it() {
        let work = |job: u32| if job == 7 { Err(job) } else { Ok(job) };
        let (mut handed, mut taken) = (0..100, 0);
        let take = |result: Result<u32, u32>| {
            taken = result.map_err(|_| Interrupt::Cancelled)?;
            Ok(())
        };
        let ended = ordered_parallel(vec![work, work], || Ok(handed.next()), take);
        assert!(matches!(ended, Err(Interrupt::Cancelled)));
        assert_eq!(taken, 6);
    }
}
