//! The rounds that are open, in memory only: a witness that restarts has forgotten their keys, and
//! they end.
//!
//! It guarantees that a round is taken out once, that what is taken out or too old is forgotten
//! except for its name and the coordinator's nonce, which are remembered until the round's end,
//! and that neither rounds nor names grow without bound.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use privacy::Sid;

use crate::round::{Discovery, Round};

/// Names that are remembered beside open rounds.
const MAX_NAMES: usize = 1 << 16;

/// Open rounds.
#[derive(Debug)]
pub(crate) struct Book {
    rounds: HashMap<Sid, Kept>,
    nonces: HashSet<[u8; 32]>,
    open: usize,
    max_open: usize,
}

#[derive(Debug)]
struct Kept {
    nonce: [u8; 32],
    end: Instant,
    state: State,
}

#[derive(Debug)]
enum State {
    Offered(Box<Round>),
    Discovered(Box<Discovery>),
    Spent,
}

/// Why a round is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotKept {
    /// The coordinator's nonce is that of another round.
    Replayed,
    /// As many rounds are open as may be.
    Full,
}

/// Why a round is not handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotOpen {
    /// It was before.
    Spent,
    /// Its time is over, or it never was.
    Unknown,
}

impl Book {
    /// A book for `max_open` rounds.
    pub(crate) fn new(max_open: usize) -> Self {
        Self { rounds: HashMap::new(), nonces: HashSet::new(), open: 0, max_open }
    }

    /// Whether another round could be kept now.
    pub(crate) fn has_room(&mut self, nonce: &[u8; 32], now: Instant) -> Result<(), NotKept> {
        if self.nonces.contains(nonce) {
            return Err(NotKept::Replayed);
        }
        if self.is_full() {
            self.sweep(now);
        }
        if self.is_full() { Err(NotKept::Full) } else { Ok(()) }
    }

    fn is_full(&self) -> bool {
        self.open >= self.max_open || self.rounds.len() >= MAX_NAMES
    }

    /// Keeps a round until `end`.
    pub(crate) fn keep(&mut self, round: Round, end: Instant, now: Instant) -> Result<(), NotKept> {
        let (sid, nonce) = (*round.sid(), round.terms().nonce_a);
        self.has_room(&nonce, now)?;
        self.nonces.insert(nonce);
        self.open += 1;
        let state = State::Offered(Box::new(round));
        self.rounds.insert(sid, Kept { nonce, end, state });
        Ok(())
    }

    /// Takes a round out, to be opened before the time that comes with it.
    pub(crate) fn take(&mut self, sid: &Sid, now: Instant) -> Result<(Round, Instant), NotOpen> {
        let kept = self.living(sid, now)?;
        match std::mem::replace(&mut kept.state, State::Spent) {
            State::Offered(round) => {
                let end = kept.end;
                self.open -= 1;
                Ok((*round, end))
            }
            other => {
                kept.state = other;
                Err(NotOpen::Spent)
            }
        }
    }

    /// Keeps what remains of a round that was taken out, until that round's end.
    pub(crate) fn keep_discovery(&mut self, sid: &Sid, discovery: Discovery) {
        // Of a round that has ended meanwhile nothing is kept.
        if let Some(kept) = self.rounds.get_mut(sid)
            && matches!(kept.state, State::Spent)
        {
            kept.state = State::Discovered(Box::new(discovery));
            self.open += 1;
        }
    }

    /// Takes a discovery out.
    pub(crate) fn take_discovery(&mut self, sid: &Sid, now: Instant) -> Result<Discovery, NotOpen> {
        let kept = self.living(sid, now)?;
        match std::mem::replace(&mut kept.state, State::Spent) {
            State::Discovered(discovery) => {
                self.open -= 1;
                Ok(*discovery)
            }
            other => {
                let never = matches!(other, State::Offered(_));
                kept.state = other;
                Err(if never { NotOpen::Unknown } else { NotOpen::Spent })
            }
        }
    }

    fn living(&mut self, sid: &Sid, now: Instant) -> Result<&mut Kept, NotOpen> {
        self.rounds.get_mut(sid).filter(|kept| kept.end > now).ok_or(NotOpen::Unknown)
    }

    /// Forgets rounds whose time is over; to be called now and then.
    pub(crate) fn sweep(&mut self, now: Instant) {
        let (open, nonces) = (&mut self.open, &mut self.nonces);
        self.rounds.retain(|_, kept| {
            let lives = kept.end > now;
            if !lives {
                nonces.remove(&kept.nonce);
                *open -= usize::from(!matches!(kept.state, State::Spent));
            }
            lives
        });
    }

    /// Rounds with keys, and all names.
    #[cfg(test)]
    pub(crate) fn counts(&self) -> (usize, usize) {
        assert_eq!(self.rounds.len(), self.nonces.len());
        (self.open, self.rounds.len())
    }
}
