//! Several threads at one kind of work, whose results are taken in the order of the work.

use std::panic::resume_unwind;
use std::sync::mpsc::sync_channel;
use std::thread;

use super::Stop;

/// Threads for one job, at most: a job is not alone on its machine.
const MOST_WORKERS: usize = 4;

/// Pieces of work that each worker has, at most: one at work and one to go on with.
const PIECES: usize = 2;

/// As many workers as there are cores for.
pub fn workers<W>(worker: impl FnMut() -> W) -> Vec<W> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    std::iter::repeat_with(worker).take(cores.min(MOST_WORKERS)).collect()
}

/// Lets workers do what `next` hands out, in turn, and calls `take` with each result in the order in which the work was
/// handed out. So what comes of it is the same however many there are.
pub fn in_order<J: Send, R: Send>(
    workers: Vec<impl FnMut(J) -> R + Send>,
    mut next: impl FnMut() -> Result<Option<J>, Stop>,
    mut take: impl FnMut(R) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let span = tracing::Span::current();
    thread::scope(|scope| {
        let (mut at_work, mut jobs, mut results) = (vec![], vec![], vec![]);
        for mut work in workers {
            let (hand, handed) = sync_channel::<J>(PIECES);
            let (done, result) = sync_channel::<R>(PIECES);
            let span = span.clone();
            at_work.push(scope.spawn(move || {
                let _within = span.enter();
                // Ends when nothing more is handed out, or nobody takes the result.
                handed.into_iter().try_for_each(|job| done.send(work(job)))
            }));
            jobs.push(hand);
            results.push(result);
        }
        let (mut handed, mut taken) = (0, 0);
        let all = jobs.len();
        let mut run = || loop {
            let job = if handed - taken < all * PIECES { next()? } else { None };
            match job {
                // Whoever does not take or answer it has panicked, which is heard of when joined.
                Some(job) => {
                    jobs[handed % all].send(job).map_err(|_| Stop::Cancelled)?;
                    handed += 1;
                }
                None if taken == handed => return Ok(()),
                None => {
                    take(results[taken % all].recv().map_err(|_| Stop::Cancelled)?)?;
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
            in_order((0..workers).map(|_| spin).collect(), next, take).unwrap();
            assert_eq!(taken, (1..=500).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_first_that_fails_ends_it() {
        let work = |job: u32| if job == 7 { Err(job) } else { Ok(job) };
        let (mut handed, mut taken) = (0..100, 0);
        let take = |result: Result<u32, u32>| {
            taken = result.map_err(|_| Stop::Cancelled)?;
            Ok(())
        };
        let ended = in_order(vec![work, work], || Ok(handed.next()), take);
        assert!(matches!(ended, Err(Stop::Cancelled)));
        assert_eq!(taken, 6);
    }
}
