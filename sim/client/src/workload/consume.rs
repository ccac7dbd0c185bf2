//! A consumer that reads its share of a topic.

use trial_node::{ConnId, Input, Io, Now, OpenError, Time};

use crate::consumer::{CommitId, GroupConfig};

use super::config::{ClientConfig, ConsumeWorkload};
use super::source::{Signal, Source};
use super::view::ConsumerView;

#[derive(Clone, Debug)]
pub(super) struct Reader {
    source: Source,
    role: Role,
    /// SIGTERM came.
    closing: bool,
}

/// Where its partitions come from.
#[derive(Clone, Debug)]
enum Role {
    /// It is the workload's consumer `index` of `of`, and has seen so many partitions.
    Alone { index: u32, of: u32, seen: usize },
    /// Its group; commits are the consumer's business (`enable.auto.commit`), or its own.
    Member { manual: Option<Box<Committer>> },
}

/// Commits what was read, as an application does that processes each record at once.
#[derive(Clone, Debug)]
struct Committer {
    config: GroupConfig,
    /// When it commits next.
    at: Option<Time>,
    /// The commit that it waits for.
    under_way: Option<CommitId>,
    /// Partitions are to be given up once the commit is through.
    revoking: bool,
}

impl Reader {
    pub fn new(
        process: &ClientConfig,
        plan: &ConsumeWorkload,
        (index, number): (u32, u32),
    ) -> Result<Reader, OpenError> {
        let config = plan.consumer_config(index)?;
        let role = match &config.group {
            None => Role::Alone { index, of: plan.share.of, seen: 0 },
            Some(group) => {
                let config = Some(group.clone()).filter(|group| !group.auto_commit);
                let manual = config
                    .map(|config| Box::new(Committer { config, at: None, under_way: None, revoking: false }));
                Role::Member { manual }
            }
        };
        Ok(Reader { source: Source::new(process, config, number, &plan.topic)?, role, closing: false })
    }

    pub fn owns(&self, conn: ConnId) -> bool {
        self.source.owns(conn)
    }

    pub fn poll_timeout(&self) -> Option<Time> {
        let commit = match &self.role {
            Role::Member { manual: Some(committer) } if committer.under_way.is_none() => committer.at,
            _ => None,
        };
        self.source.poll_timeout().into_iter().chain(commit).min()
    }

    pub fn view(&self) -> ConsumerView {
        let uncommitted = match &self.role {
            Role::Member { manual: Some(committer) } => committer.at.is_some() || committer.revoking,
            _ => false,
        };
        self.source.view(uncommitted)
    }

    /// Whether it is of no use any more, after [`Reader::stop`].
    pub fn is_stopped(&self) -> bool {
        matches!(self.role, Role::Alone { .. }) || self.source.is_closed()
    }

    /// Begins to leave its group.
    pub fn stop(&mut self, now: Now) {
        self.closing = true;
        if matches!(self.role, Role::Member { .. }) {
            self.source.close(now);
        }
    }

    pub fn step(&mut self, now: Now, input: Option<Input>, io: &mut Io<'_>) {
        self.source.step(now, input, io);
        if let Role::Alone { index, of, seen } = &mut self.role {
            self.source.assign(|partition| partition as u32 % *of == *index, seen);
        }
        self.report(now, io);
        let mut read = 0;
        while !self.closing {
            let polled = self.source.read(now, io, &mut |_, _, _, _| {});
            if polled == 0 {
                break;
            }
            read += polled;
        }
        if let Role::Member { manual: Some(committer) } = &mut self.role {
            if read > 0 && committer.at.is_none() {
                committer.at = Some(now.mono + committer.config.auto_commit_interval);
            }
            if committer.under_way.is_none() && committer.at.is_some_and(|at| at <= now.mono) {
                committer.at = None;
                committer.under_way = Some(self.source.commit(now, &self.source.positions()));
            }
        }
        self.report(now, io);
        self.source.poll(now, io);
        self.report(now, io);
    }

    fn report(&mut self, now: Now, io: &mut Io<'_>) {
        for signal in self.source.report(io) {
            match (signal, &mut self.role) {
                (Signal::Revoking, Role::Member { manual: Some(committer) }) => {
                    committer.revoking = true;
                    if committer.under_way.is_none() && committer.at.take().is_some() {
                        committer.under_way = Some(self.source.commit(now, &self.source.positions()));
                    }
                }
                (Signal::Revoking, _) => self.source.revoked(now, io),
                (Signal::Committed(commit, _), Role::Member { manual: Some(committer) })
                    if committer.under_way == Some(commit) =>
                {
                    committer.under_way = None;
                }
                (Signal::Lost(_) | Signal::Committed(..) | Signal::Failed(_), _) => {}
            }
        }
        if let Role::Member { manual: Some(committer) } = &mut self.role
            && committer.revoking
            && committer.under_way.is_none()
        {
            committer.revoking = false;
            self.source.revoked(now, io);
        }
    }
}
