//! Why this hospital may answer what its policy does not answer by itself: a pack, the steward's word on a
//! question or on a project.

use model::{Refusal, RefusalCode};
use privacy::policy::Allow;
use privacy::project::{Mode, ProjectParts};
use privacy::{Leave, Policy, Project, ReleaseRequest};
use proto::v1;
use record::Verdict;
use service::clock::day_number;
use tonic::Status;

use crate::answer::{Desk, InForce};

/// Whether the policy admits none of its questions, accepted or not.
fn is_closed(project: &Project, policy: &Policy) -> bool {
    let ProjectParts { pooled, per_hospital, mode, .. } = project.parts();
    let answers = *pooled && policy.scopes.pooled || *per_hospital && policy.scopes.per_hospital;
    let mode = match mode {
        Mode::Exact => policy.questions.allow != Allow::Packs,
        Mode::Noise { .. } => policy.noise.is_some(),
    };
    !(answers && mode)
}

impl Desk {
    /// Why this hospital may answer `request`, should its policy not answer everything.
    pub(crate) async fn leave(
        &self,
        request: &ReleaseRequest,
        policy: &Policy,
    ) -> Result<Leave, Status> {
        if let Some(pack) = self.packs.origin(request, policy).await {
            return Ok(Leave::Pack(pack));
        }
        let asks = policy.questions.allow == Allow::Ask;
        let question = request.question();
        let verdict = if asks { self.books.decision(&self.steward, question).await? } else { None };
        // What the steward has declined is not answered to a project either.
        if verdict == Some(Verdict::Declined) {
            return Ok(Leave::Declined);
        }
        if let Some(project) = request.project() {
            let verdict = self.books.decision(&self.steward, project.hash()).await?;
            let accepted = verdict.map(|verdict| verdict == Verdict::Approved);
            return Ok(Leave::Project { accepted, today: day_number(self.clock.now()) });
        }
        Ok(if verdict.is_some() { Leave::Approved(question) } else { Leave::None })
    }

    /// Puts a question, or its project, into the steward's inbox when that is why it was refused.
    pub(crate) async fn keep_waiting(
        &self,
        refusal: &Refusal,
        request: ReleaseRequest,
    ) -> Result<(), Status> {
        if refusal.code != RefusalCode::Waiting {
            return Ok(());
        }
        match request.project() {
            Some(project) => self.books.propose(project.clone()).await,
            None => self.books.wait(request).await,
        }
    }

    /// Puts a project into the steward's inbox until it is decided, and says how far it is.
    pub(crate) async fn consider(&self, project: Project) -> Result<v1::Considered, Status> {
        let InForce { policy, .. } = self.holdings.now();
        let verdict = self.books.decision(&self.steward, project.hash()).await?;
        let state = match (verdict, policy.questions.allow) {
            _ if project.parts().until < day_number(self.clock.now()) => v1::ProjectState::Over,
            (Some(Verdict::Declined), _) => v1::ProjectState::Declined,
            _ if is_closed(&project, &policy) => v1::ProjectState::Closed,
            (_, Allow::Any) => v1::ProjectState::Open,
            (Some(Verdict::Approved), _) => v1::ProjectState::Accepted,
            (None, _) => v1::ProjectState::Waiting,
        };
        let used = self.books.project_spent(project.name().to_owned()).await?;
        if state == v1::ProjectState::Waiting {
            self.books.propose(project).await?;
        }
        Ok(v1::Considered {
            state: state.into(),
            questions: used.questions,
            rho_year_micro: used.rho_year_micro,
        })
    }
}
