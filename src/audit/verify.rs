//! Holding the audit against its links: what was changed, removed, put in, exchanged or cut off,
//! and where. A chain is judged by its own rows alone.

use super::error::AuditError;
use super::reader::AuditReader;
use super::record::Record;
use crate::base::TenantId;
use crate::seal::Digest;
use crate::store::{
    AuditBook, AuditHead, AuditQuery, AuditRow, AuditState, GAP_LINK, Links as _, StoreError,
};

/// Rows that are held in memory.
const STEP: usize = 1_000;
/// Findings of one chain that are told.
const MOST: usize = 100;
/// How often a chain is begun anew because retention took its beginning meanwhile.
const TRIES: usize = 5;

/// Something that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The first record that it concerns; none when it concerns no chain.
    pub seq: Option<u64>,
    /// What is wrong, as a sentence.
    pub what: String,
}

/// What is to be said of one chain, or of the audit as a whole.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// Where the chain begins and ends; none for what concerns the audit as a whole.
    pub head: Option<AuditHead>,
    /// Records that were held against their links.
    pub checked: u64,
    /// What is wrong, in the order of the chain; empty when nothing is.
    pub findings: Vec<Finding>,
    /// Findings that are not listed.
    pub more: usize,
}

impl Verdict {
    fn of(head: Option<AuditHead>) -> Self {
        Self { head, checked: 0, findings: Vec::new(), more: 0 }
    }

    fn find(&mut self, seq: impl Into<Option<u64>>, what: impl Into<String>) {
        if self.findings.len() < MOST {
            self.findings.push(Finding { seq: seq.into(), what: what.into() });
        } else {
            self.more += 1;
        }
    }

    /// True when nothing is wrong.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.findings.is_empty()
    }
}

/// A link of a record that somebody kept elsewhere.
pub type Known = (u64, Digest);

impl AuditReader {
    /// Verifies all chains or one tenant's, the latter also against a link that was kept
    /// elsewhere. The first verdict is about the whole.
    ///
    /// # Errors
    /// When the store cannot be read at all; damage in it is a finding.
    pub async fn verify(
        &self,
        tenant: Option<TenantId>,
        known: Option<Known>,
    ) -> Result<Vec<Verdict>, AuditError> {
        let mut whole = Verdict::of(None);
        match self.store.problems().await {
            Ok(problems) => problems.into_iter().for_each(|problem| whole.find(None, problem)),
            Err(StoreError::Damaged(what)) => whole.find(None, what),
            Err(error) => return Err(error.into()),
        }
        let last = self.last_id().await;
        let state = match self.store.state().await {
            Ok(state) => state,
            Err(StoreError::Damaged(what)) => {
                whole.find(None, what);
                return Ok(vec![whole]);
            }
            Err(error) => return Err(error.into()),
        };
        self.judge_book(&state, last.unwrap_or(0), &mut whole);
        let mut verdicts = vec![whole];
        for head in state.heads {
            if tenant.is_none_or(|tenant| tenant == head.tenant) {
                verdicts.push(self.chain(head, known).await?);
            }
        }
        Ok(verdicts)
    }

    async fn last_id(&self) -> Option<u64> {
        let query = AuditQuery { backwards: true, limit: 1, ..AuditQuery::default() };
        self.store.page(query).await.ok()?.first().map(|row| row.id)
    }

    fn judge_book(&self, state: &AuditState, last: u64, whole: &mut Verdict) {
        let sound = |book: &AuditBook| self.chain.bind(book) == book.seal;
        let Some(book) = state.book else {
            if state.witness.is_some() || !state.heads.is_empty() {
                whole.find(None, "the row that says how many chains there are is gone");
            }
            return;
        };
        if !sound(&book) {
            whole.find(None, "the row that says how many chains there are was changed");
        }
        if book.breaks > 0 {
            let times = book.breaks;
            whole.find(
                None,
                format!("the proxy found the audit changed between two writes, {times} times"),
            );
        }
        for number in 1..=book.chains.min(1_000_000) {
            if state.heads.binary_search_by_key(&number, |head| head.chain).is_err() {
                whole.find(None, format!("chain {number} is gone with all its records"));
            }
        }
        if last > book.last_id {
            whole.find(None, format!("records were put in behind the last one, {}", book.last_id));
        }
        match state.witness {
            Some(witness) if !sound(&witness) => {
                whole.find(None, "the head that is noted beside the database was changed");
            }
            Some(witness) if witness.last_id > book.last_id => whole.find(
                None,
                format!(
                    "the database is older than the head noted beside it: {} of the last records are gone",
                    witness.last_id - book.last_id
                ),
            ),
            Some(_) => {}
            None => whole.find(None, "the head that is noted beside the database is gone"),
        }
    }

    async fn chain(&self, head: AuditHead, known: Option<Known>) -> Result<Verdict, AuditError> {
        let mut head = head;
        for _ in 0..TRIES {
            let verdict = self.walk(head.clone(), known).await?;
            // Retention may have taken the beginning meanwhile; that is no finding.
            let now = self.store.state().await;
            let now =
                now.ok().and_then(|now| now.heads.into_iter().find(|h| h.chain == head.chain));
            match now {
                Some(now) if now.first != head.first && !verdict.is_good() => head = now,
                _ => return Ok(verdict),
            }
        }
        self.walk(head, known).await
    }

    async fn walk(&self, head: AuditHead, known: Option<Known>) -> Result<Verdict, AuditError> {
        let mut verdict = Verdict::of(Some(head.clone()));
        if self.chain.seal(&head) != head.seal {
            verdict
                .find(head.last, "the row that says where the chain begins and ends was changed");
        }
        let mut step = Step { next: head.first, before: head.before, trusted: true };
        let mut query = AuditQuery {
            tenant: Some(head.tenant),
            after: Some(0),
            limit: STEP,
            ..AuditQuery::default()
        };
        loop {
            let rows = match self.store.page(query).await {
                Ok(rows) => rows,
                Err(StoreError::Damaged(what)) => {
                    verdict.find(
                        step.next,
                        format!("the records from here on cannot be read: {what}"),
                    );
                    return Ok(verdict);
                }
                Err(error) => return Err(error.into()),
            };
            let Some(last) = rows.last().map(|row| row.seq) else { break };
            query.after = Some(last);
            for row in rows.iter().take_while(|row| row.seq <= head.last) {
                self.judge(row, &head, &mut step, &mut verdict);
                if let Some((seq, link)) = known
                    && seq == row.seq
                    && link != row.mac
                {
                    verdict.find(seq, "its link is not the one that was kept elsewhere");
                }
            }
            if last > head.last {
                break;
            }
        }
        if step.next <= head.last {
            let (from, to) = (step.next, head.last);
            verdict.find(from, format!("the end is missing: the records {from} to {to} are gone"));
        } else if step.before != head.mac {
            verdict.find(head.last, "the last record is not the one that the chain ends with");
        }
        if let Some((seq, _)) = known
            && seq > head.last
        {
            verdict.find(
                head.last + 1,
                format!("record {seq}, which was kept elsewhere, is not there"),
            );
        }
        self.judge_surplus(&head, &mut verdict).await?;
        Ok(verdict)
    }

    fn judge(&self, row: &AuditRow, head: &AuditHead, step: &mut Step, verdict: &mut Verdict) {
        if row.seq < head.first {
            verdict.find(row.seq, "a record was put in before the beginning");
            return;
        }
        verdict.checked += 1;
        if row.seq > step.next {
            let (from, to) = (step.next, row.seq - 1);
            verdict.find(
                from,
                if from == to {
                    format!("record {from} is gone")
                } else {
                    format!("the records {from} to {to} are gone")
                },
            );
            step.trusted = false;
        }
        let fits = self.chain.link(row, &row.record, &step.before) == row.mac;
        if !fits && self.chain.link(row, &row.record, &GAP_LINK) == row.mac {
            let what = "what stands before this record was changed or removed, and the proxy wrote on behind it";
            verdict.find(row.seq, what);
        } else if !fits && step.trusted {
            verdict.find(row.seq, "this record was changed, exchanged or put in");
        } else if Record::decode(&row.record).is_none() {
            verdict.find(row.seq, "this record has a form that this program does not know");
        }
        *step = Step { next: row.seq + 1, before: row.mac, trusted: true };
    }

    /// Rows behind the end. The row is read before the end is read again: what has been written
    /// meanwhile is within it.
    async fn judge_surplus(
        &self,
        head: &AuditHead,
        verdict: &mut Verdict,
    ) -> Result<(), AuditError> {
        let query = AuditQuery {
            tenant: Some(head.tenant),
            limit: 1,
            backwards: true,
            ..AuditQuery::default()
        };
        let Ok(rows) = self.store.page(query).await else { return Ok(()) };
        let heads = self.store.state().await?.heads;
        let end =
            heads.iter().find(|now| now.chain == head.chain).map_or(head.last, |now| now.last);
        if rows.first().is_some_and(|row| row.seq > end) {
            verdict.find(end + 1, "records were put in behind the end");
        }
        Ok(())
    }
}

/// Where the walk along a chain stands.
struct Step {
    next: u64,
    before: Digest,
    /// The record before is there, so that the link to it can be judged.
    trusted: bool,
}
