//! Speaking with a region's coordinator.
//!
//! It guarantees that the answer comes from the coordinator whose certificate the region's
//! authority issued, that every wait and every answer has a bound, and that each way to fail
//! becomes the right exit code.

mod models;
mod projects;

use std::path::{Path, PathBuf};
use std::time::Duration;

use model::{Peer, Role};
use privacy::Claim;
use proto::encode_claim;
use proto::v1::answer_event::Event;
use proto::v1::region_client::RegionClient;
use proto::v1::{
    CatalogRequest, CatalogResponse, CodeName, CodeNamesRequest, Explanation, HospitalsRequest,
    HospitalsResponse, Progress, Question,
};
use query::pack::{Arguments, Pack};
use serde::{Deserialize, Serialize};
use service::connect::{ConnectOptions, Line, explain};
use service::{Clock, ConnectFailure, Connector, IdentityConfig, ReloadingIdentity, config};
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::answer::{Answer, Assembly};
use crate::exit::Failure;

/// Name of the file in a region folder.
pub const CLIENT_FILE: &str = "client.toml";
/// Waiting beyond the deadline that the coordinator was given, for the way back.
const GRACE: Duration = Duration::from_secs(5);
/// Waiting when the coordinator's own deadline applies; it is shorter than this.
const LONGEST_WAIT: Duration = Duration::from_secs(11 * 60);
/// Waiting for lists; the coordinator gives hospitals 60 s to compute theirs.
const LIST_WAIT: Duration = Duration::from_secs(90);

/// `client.toml`. Paths are relative to it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientConfig {
    /// Name of the region, as in its certificates.
    pub region: String,
    /// `host:port` of the coordinator.
    pub coordinator: String,
    /// The user's certificate and key, and the region's authority.
    pub identity: IdentityConfig,
}

/// The same file, for writing.
#[derive(Debug, Serialize)]
pub struct ClientFile<'a> {
    /// Name of the region.
    pub region: &'a str,
    /// `host:port` of the coordinator.
    pub coordinator: String,
    /// Who asks.
    pub identity: IdentityFile<'a>,
}

/// The `[identity]` section, for writing.
#[derive(Debug, Serialize)]
pub struct IdentityFile<'a> {
    /// Certificate.
    pub certificate: &'a str,
    /// Key.
    pub key: &'a str,
    /// Authority.
    pub authority: &'a str,
    /// Revocation list.
    pub revocations: &'a str,
}

/// A user's way to the coordinator.
#[derive(Debug, Clone)]
pub struct Client {
    line: Line,
    address: String,
    folder: PathBuf,
    region: String,
}

impl Client {
    /// Reads the region folder. Nothing is connected yet. Needs a tokio runtime around it.
    ///
    /// # Errors
    /// [`Failure::Configuration`], naming the file.
    pub fn open(folder: &Path, clock: &Clock) -> Result<Self, Failure> {
        let file = folder.join(CLIENT_FILE);
        if !file.is_file() {
            return Err(Failure::Configuration(format!(
                "{} is no region folder: it has no {CLIENT_FILE}; ask the region's coordinator \
                 for one, or make a demonstration with: consilium demo --dir {}",
                folder.display(),
                folder.display()
            )));
        }
        let client: ClientConfig =
            config::load(&file).map_err(|error| Failure::Configuration(error.to_string()))?;
        let wrong =
            |reason: String| Failure::Configuration(format!("{}: {reason}", file.display()));
        let coordinator = Peer::new(&client.region, Role::Coordinator, "main")
            .map_err(|error| wrong(error.to_string()))?;
        let identity = ReloadingIdentity::open(client.identity.resolved(&file), clock.clone())
            .map_err(|error| wrong(error.to_string()))?;
        if identity.peer().region() != client.region {
            return Err(wrong(format!(
                "region is \"{}\", but the certificate is for {}",
                client.region,
                identity.peer()
            )));
        }
        let address = client.coordinator;
        let connector = Connector::new(identity);
        let line = connector.line(coordinator, address.clone(), ConnectOptions::default());
        Ok(Self { line, address, folder: folder.to_owned(), region: client.region })
    }

    fn service(&self) -> RegionClient<Channel> {
        let channel = self.line.channel();
        RegionClient::new(channel).max_decoding_message_size(proto::MAX_MESSAGE_BYTES)
    }

    /// The region's name, as in its certificates.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Asks, and collects the answer.
    ///
    /// # Errors
    /// Every kind but usage and data.
    pub async fn ask(
        &self,
        sql: &str,
        deadline: Option<Duration>,
        progress: impl FnMut(&Progress),
    ) -> Result<Answer, Failure> {
        self.ask_this(question(sql, deadline), deadline, progress).await
    }

    /// Asks with noise that costs each hospital so many millionths of ρ, or as a member of a project.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub async fn ask_so(
        &self,
        sql: &str,
        (rho_micro, project): (Option<u64>, Option<&str>),
        deadline: Option<Duration>,
        progress: impl FnMut(&Progress),
    ) -> Result<Answer, Failure> {
        let project = project.unwrap_or_default().to_owned();
        let question = Question { rho_micro, project, ..question(sql, deadline) };
        self.ask_this(question, deadline, progress).await
    }

    /// Asks a question of a pack.
    ///
    /// # Errors
    /// As [`Client::ask`]; [`Failure::Usage`] when an argument does not fit.
    pub async fn ask_pack(
        &self,
        pack: &Pack,
        name: &str,
        arguments: &Arguments,
        deadline: Option<Duration>,
        progress: impl FnMut(&Progress),
    ) -> Result<Answer, Failure> {
        let sql = pack.sql(name, arguments).map_err(|error| Failure::Usage(error.to_string()))?;
        let claim =
            Claim { pack: pack.hash(), question: name.to_owned(), arguments: arguments.clone() };
        let question = Question { pack: Some(encode_claim(&claim)), ..question(&sql, deadline) };
        self.ask_this(question, deadline, progress).await
    }

    async fn ask_this(
        &self,
        question: Question,
        deadline: Option<Duration>,
        progress: impl FnMut(&Progress),
    ) -> Result<Answer, Failure> {
        let wait = deadline.map_or(LONGEST_WAIT, |deadline| deadline + GRACE);
        let asking = self.collect(question, progress);
        // The future holds a stream and its buffers; it is large and lives once.
        self.within(wait, Box::pin(asking)).await
    }

    /// What the codes of `column` (`table.column`) are called, where a published list says it.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub async fn code_names(&self, column: &str) -> Result<Vec<CodeName>, Failure> {
        let mut service = self.service();
        let request = CodeNamesRequest { column: column.to_owned() };
        let response = self.within(LIST_WAIT, async {
            service.code_names(request).await.map_err(|status| self.failure(&status))
        });
        Ok(response.await?.into_inner().names)
    }

    async fn collect(
        &self,
        question: Question,
        mut progress: impl FnMut(&Progress),
    ) -> Result<Answer, Failure> {
        let response = self.service().ask(question).await;
        let mut events = response.map_err(|status| self.failure(&status))?.into_inner();
        let mut assembly = Assembly::default();
        while let Some(event) = events.message().await.map_err(|status| self.failure(&status))? {
            match event.event {
                Some(Event::Progress(told)) => progress(&told),
                Some(Event::ArrowIpc(part)) => assembly.part(part)?,
                Some(Event::Release(release)) => assembly.release(release),
                // A newer coordinator says more than this client knows.
                None => {}
            }
        }
        assembly.finish()
    }

    /// What each hospital would receive.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub async fn explain(
        &self,
        sql: &str,
        (rho_micro, project): (Option<u64>, Option<&str>),
    ) -> Result<Explanation, Failure> {
        let mut service = self.service();
        let project = project.unwrap_or_default().to_owned();
        let asked = Question { rho_micro, project, ..question(sql, None) };
        let response = self.within(LIST_WAIT, async {
            service.explain(asked).await.map_err(|status| self.failure(&status))
        });
        Ok(response.await?.into_inner())
    }

    /// What can be asked.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub async fn catalog(&self) -> Result<CatalogResponse, Failure> {
        let mut service = self.service();
        let response = self.within(LIST_WAIT, async {
            service.catalog(CatalogRequest {}).await.map_err(|status| self.failure(&status))
        });
        Ok(response.await?.into_inner())
    }

    /// Who is there.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub async fn hospitals(&self) -> Result<HospitalsResponse, Failure> {
        let mut service = self.service();
        let response = self.within(LIST_WAIT, async {
            service.hospitals(HospitalsRequest {}).await.map_err(|status| self.failure(&status))
        });
        Ok(response.await?.into_inner())
    }

    async fn within<T>(
        &self,
        wait: Duration,
        asking: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        match tokio::time::timeout(wait, asking).await {
            Ok(answered) => answered,
            Err(_) => Err(Failure::Unavailable(format!(
                "the coordinator at {} gave no answer within {} s",
                self.address,
                wait.as_secs()
            ))),
        }
    }

    fn failure(&self, status: &Status) -> Failure {
        failure(&self.address, &self.folder, status)
    }
}

fn question(sql: &str, deadline: Option<Duration>) -> Question {
    let (sql, deadline_ms) = (sql.to_owned(), milliseconds(deadline));
    Question { sql, deadline_ms, ..Question::default() }
}

/// A deadline as it travels; 0 leaves it to the coordinator.
fn milliseconds(deadline: Option<Duration>) -> u64 {
    deadline.map_or(0, |wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX))
}

/// The innermost cause: what the network or TLS said.
fn root_cause(status: &Status) -> String {
    /// A chain of causes longer than this is a loop.
    const CAUSES_MAX: usize = 16;
    let mut said = status.message().to_owned();
    let mut next = std::error::Error::source(status);
    for _ in 0..CAUSES_MAX {
        let Some(cause) = next else { break };
        said = cause.to_string();
        next = cause.source();
    }
    said
}

/// Why a request to the coordinator at `address`, known from the region `folder`, failed.
fn failure(address: &str, folder: &Path, status: &Status) -> Failure {
    if let Some(refusal) = service::status::refusal_of(status) {
        return Failure::Refused(Box::new(refusal));
    }
    let said = status.message();
    let identity = || {
        let folder = folder.display();
        Failure::Configuration(format!("{said} (coordinator {address}, region {folder})"))
    };
    match explain(status) {
        ConnectFailure::Unreachable => {
            return Failure::Unavailable(format!(
                "no coordinator answers at {}: {}; is it running, and is the address in {} \
                 right?",
                address,
                root_cause(status),
                folder.join(CLIENT_FILE).display()
            ));
        }
        ConnectFailure::WrongPeer | ConnectFailure::IdentityRejected | ConnectFailure::Expired => {
            return Failure::Configuration(format!(
                "{} (certificates of region folder {})",
                root_cause(status),
                folder.display()
            ));
        }
        ConnectFailure::Other => {}
    }
    match status.code() {
        Code::FailedPrecondition => Failure::RefusedOtherwise(said.to_owned()),
        Code::InvalidArgument => Failure::Data(said.to_owned()),
        Code::Unauthenticated | Code::PermissionDenied => identity(),
        Code::Unavailable | Code::Cancelled | Code::ResourceExhausted | Code::Aborted => {
            Failure::Unavailable(said.to_owned())
        }
        Code::DeadlineExceeded => Failure::Unavailable(format!(
            "no answer by the deadline: {said}; a longer --deadline may help"
        )),
        Code::Unknown if std::error::Error::source(status).is_some() => Failure::Unavailable(
            format!("the connection to the coordinator broke: {}; ask again", root_cause(status)),
        ),
        code => Failure::Internal(format!("{said} [{code:?}]")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_carries_its_deadline_in_milliseconds() {
        assert_eq!(question("q", None).deadline_ms, 0);
        assert_eq!(question("q", Some(Duration::from_secs(2))).deadline_ms, 2_000);
    }

    #[tokio::test]
    async fn statuses_become_exit_codes_and_no_folder_is_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let error = Client::open(folder.path(), &Clock::system()).unwrap_err();
        assert_eq!(error.code(), 78);
        assert!(error.to_string().contains("client.toml"), "{error}");

        let refusal = model::Refusal::new(model::RefusalCode::Join, "s", "r", "i");
        for (status, code) in [
            (service::status::refusal_status(&refusal), 77),
            (Status::failed_precondition("newer"), 77),
            (Status::unavailable("no hospital answered"), 69),
            (Status::deadline_exceeded("late"), 69),
            (Status::permission_denied("nodes do not ask"), 78),
            (Status::invalid_argument("empty"), 65),
            (Status::internal("incident 1"), 70),
        ] {
            assert_eq!(failure("a:1", Path::new("r"), &status).code(), code, "{status:?}");
        }
    }
}
