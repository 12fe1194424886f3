//! Ends of jobs that could not be kept, as on a full disk: what is told of them meanwhile, and keeping them later.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use uuid::Uuid;

use super::{Inner, Jobs};
use sluice_catalog::JobEnd;
use sluice_model::{Job, JobState};

/// How often it is tried again to keep a job's end: soon enough after there is room for nobody to notice.
const SETTLE_AGAIN: Duration = Duration::from_secs(1);

impl Inner {
    /// Whether a job is to be waited for: it is at work, or has succeeded and that is not kept yet. Said any sooner, a
    /// success could be forgotten in a crash.
    pub(super) fn is_waited_for(&self, job: Uuid) -> bool {
        let succeeded = |end: &Arc<JobEnd>| end.job.id == job && end.job.state == JobState::Succeeded;
        self.jobs.contains_key(&job) || self.unsettled.iter().any(succeeded)
    }
}

impl Jobs {
    /// Tries once more to keep the ends of jobs that could not be kept, as when a disk was full.
    pub fn settle_left(&self) {
        // It guards nothing that a panic could have left half done.
        let _settling = self.settling.lock().unwrap_or_else(PoisonError::into_inner);
        let left = self.lock().unsettled.clone();
        for end in left {
            if self.trail.end_job(&end).is_ok() {
                self.lock().unsettled.retain(|other| other.job.id != end.job.id);
                self.count.send_modify(|_| ());
            }
        }
    }

    /// Tries that again and again.
    pub async fn keep_settling(self: Arc<Self>) {
        let mut clock = tokio::time::interval(SETTLE_AGAIN);
        loop {
            clock.tick().await;
            if self.lock().unsettled.is_empty() {
                continue;
            }
            let jobs = self.clone();
            if let Err(error) = tokio::task::spawn_blocking(move || jobs.settle_left()).await {
                tracing::error!(code = "HOST_PANICKED", %error, "the ends of jobs could not be kept");
            }
        }
    }

    /// A job as it is, where the catalogue has not been told of its end. A success is told when it is kept, and all
    /// else at once.
    pub fn as_it_is(&self, job: Job) -> Job {
        let inner = self.lock();
        let told = |end: &&Arc<JobEnd>| end.job.id == job.id && end.job.state != JobState::Succeeded;
        inner.unsettled.iter().find(told).map(|end| end.job.clone()).unwrap_or(job)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::jobs::StartError;
    use sluice_audit::{Action, Entry, Scope};
    use sluice_catalog::{LogEntry, Store, Trail};
    use sluice_keys::Signer;
    use sluice_model::{Actor, DOMAINS, Event, JobKind, Level, Tenant};

    /// A job's end that cannot be kept is told as soon as it is, a success not before; all else waits for that.
    #[test]
    fn an_end_that_cannot_be_kept_is_kept_later() {
        let held = tempfile::tempdir().unwrap();
        let path = held.path().join("catalogue.db");
        let store = Arc::new(Store::open(&path).unwrap());
        let refuse_ends = |sql: &str| rusqlite::Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        let trail = Arc::new(Trail::new(store.clone(), Signer::new(&[7; 32])));
        let jobs = Jobs::new(store.clone(), trail.clone(), Arc::default());
        let now = Timestamp::UNIX_EPOCH;
        let migration = store
            .register(uuid::Uuid::new_v4(), Tenant::only(), vec![&DOMAINS[0]], None, None, now)
            .unwrap()
            .reference_id;
        for (state, told) in [(JobState::Succeeded, JobState::Running), (JobState::Failed, JobState::Failed)] {
            let (id, kind) = (Uuid::now_v7(), JobKind::Counts);
            let begun = Job {
                id,
                migration,
                kind,
                state: JobState::Running,
                started_at: now,
                finished_at: None,
                done: 0,
                total: 0,
                result: None,
            };
            let entry = || Entry::new(Actor::Server, Action::JobEnded).job(id, kind);
            trail.begin_job(&begun, Event::CountsStart, &entry()).unwrap();
            let end = JobEnd {
                job: Job { state, finished_at: Some(now), ..begun.clone() },
                event: None,
                validated: None,
                acknowledged: 7,
                audited: entry(),
                logged: LogEntry::new(Level::Info, kind.ending(state)),
            };
            let found = || jobs.as_it_is(store.job(migration, id).unwrap().unwrap()).state;
            refuse_ends("CREATE TRIGGER full BEFORE UPDATE ON jobs BEGIN SELECT RAISE(ABORT, 'full'); END");
            assert!(trail.end_job(&end).is_err());
            jobs.lock().unsettled.push(Arc::new(end));
            jobs.settle_left();
            assert_eq!(found(), told);
            assert_eq!(jobs.lock().is_waited_for(id), state == JobState::Succeeded);
            assert!(matches!(jobs.begin_alone(migration).map(drop), Err(StartError::JobRunning)));
            refuse_ends("DROP TRIGGER full");
            jobs.settle_left();
            assert_eq!((found(), store.acknowledged(migration).unwrap()), (state, 7));
            assert!(!jobs.lock().is_waited_for(id));
            jobs.begin_alone(migration).map(drop).unwrap();
        }
        let (entries, _) = trail.head(Scope::Migration(migration)).unwrap();
        assert_eq!(entries, 4, "each beginning and each end once");
    }
}
