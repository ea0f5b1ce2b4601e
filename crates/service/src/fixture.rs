//! A region in a folder, a tiny service, and a way to call it.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use bytes::{Buf, BufMut};
use certs::{Authority, Serial, Validity, write_private};
use model::{Peer, Role};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::{BoxFuture, Service, http};
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

use crate::clock::{Clock, ManualClock};
use crate::connect::ConnectOptions;
use crate::serve::ServeError;
use crate::{
    Connector, IdentityConfig, PeerInfo, ReloadingIdentity, ServeLimits, Shutdown, peer_of,
    require_role, serve,
};

pub(crate) const HOUR: Duration = Duration::from_secs(60 * 60);
/// Nothing in these tests takes this long unless it is broken.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) fn start() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

pub(crate) fn peer(uri: &str) -> Peer {
    uri.parse().unwrap()
}

/// An authority and the files of its members. Its clock stands at [`start`].
pub(crate) struct Region {
    folder: TempDir,
    pub(crate) authority: Authority,
    pub(crate) hand: ManualClock,
}

/// A member's files, and the serial to revoke it by.
pub(crate) struct Member {
    pub(crate) config: IdentityConfig,
    pub(crate) serial: Serial,
}

impl Region {
    pub(crate) fn new(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::create(name, Validity::starting(start(), 1000 * HOUR)).unwrap();
        std::fs::write(folder.path().join("ca.pem"), authority.certificate_pem()).unwrap();
        Self { folder, authority, hand: ManualClock::new(start()) }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Issues a certificate for `hours` from [`start`].
    pub(crate) fn member(&self, uri: &str, hours: u32) -> Member {
        let leaf =
            self.authority.issue(&peer(uri), Validity::starting(start(), HOUR * hours)).unwrap();
        let serial = leaf.serial;
        let (certificate, key) =
            (self.path(&format!("{serial}.pem")), self.path(&format!("{serial}.key")));
        std::fs::write(&certificate, &leaf.certificate_pem).unwrap();
        write_private(&key, &leaf.key_pem).unwrap();
        let authority = self.path("ca.pem");
        Member { config: IdentityConfig { certificate, key, authority, revocations: None }, serial }
    }

    pub(crate) fn open(&self, member: &Member) -> Arc<ReloadingIdentity> {
        self.open_at(member, self.hand.clock())
    }

    pub(crate) fn open_at(&self, member: &Member, clock: Clock) -> Arc<ReloadingIdentity> {
        ReloadingIdentity::open(member.config.clone(), clock).unwrap()
    }

    /// Writes a revocation list that is in force for an hour from `this_update`.
    pub(crate) fn revoke(&self, serials: &[Serial], this_update: SystemTime) -> PathBuf {
        let path = self.path("revoked.pem");
        let list = self.authority.revocation_list(serials, this_update, this_update + HOUR);
        replace(&path, &list.unwrap());
        path
    }
}

/// Writes a file such that its change is visible even on a coarse file system clock.
pub(crate) fn replace(path: &Path, text: &str) {
    let before = std::fs::metadata(path).and_then(|metadata| metadata.modified());
    std::fs::write(path, text).unwrap();
    if let Ok(before) = before {
        let file = std::fs::File::options().append(true).open(path).unwrap();
        file.set_modified(before + Duration::from_secs(1)).unwrap();
    }
}

/// A server that runs until it is dropped.
pub(crate) struct Running {
    pub(crate) address: String,
    pub(crate) shutdown: Shutdown,
    pub(crate) task: JoinHandle<Result<(), ServeError>>,
    pub(crate) identity: Arc<ReloadingIdentity>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Running {
    pub(crate) async fn start(identity: &Arc<ReloadingIdentity>, limits: ServeLimits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (identity, shutdown) = (Arc::clone(identity), Shutdown::new());
        let routes = Routes::new(Whoami);
        let task =
            tokio::spawn(serve(listener, Arc::clone(&identity), routes, limits, shutdown.clone()));
        Self { address, shutdown, task, identity }
    }

    /// A channel of `client` that expects the peer that serves here.
    pub(crate) fn channel(&self, client: &Arc<ReloadingIdentity>) -> Channel {
        self.channel_to(client, self.identity.peer())
    }

    pub(crate) fn channel_to(&self, client: &Arc<ReloadingIdentity>, expected: &Peer) -> Channel {
        Connector::new(Arc::clone(client)).channel(
            expected.clone(),
            self.address.clone(),
            ConnectOptions::default(),
        )
    }

    /// As [`Running::channel`], with a patience of its own.
    pub(crate) fn channel_with(
        &self,
        client: &Arc<ReloadingIdentity>,
        options: ConnectOptions,
    ) -> Channel {
        let (expected, address) = (self.identity.peer().clone(), self.address.clone());
        Connector::new(Arc::clone(client)).channel(expected, address, options)
    }

    pub(crate) async fn whoami(&self, client: &Arc<ReloadingIdentity>) -> Result<String, Status> {
        call(self.channel(client), "/test.Whoami/Me").await
    }
}

/// One request, with a deadline.
pub(crate) async fn call(channel: Channel, path: &'static str) -> Result<String, Status> {
    let mut client = tonic::client::Grpc::new(channel);
    let asking = async move {
        client.ready().await.map_err(|error| Status::from_error(Box::new(error)))?;
        let path = http::uri::PathAndQuery::from_static(path);
        client.unary(Request::new(Vec::new()), path, Raw).await
    };
    let answer = tokio::time::timeout(DEADLINE, asking).await.expect("an answer in time")?;
    Ok(String::from_utf8(answer.into_inner()).unwrap())
}

/// Answers with the caller's name; `Coordinator` answers the coordinator only; `From`
/// answers where the connection comes from, `Hang` never.
#[derive(Clone)]
struct Whoami;

async fn answer(path: String, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, Status> {
    let peer = match path.as_str() {
        "/test.Whoami/Coordinator" => require_role(&request, Role::Coordinator)?,
        "/test.Whoami/Hang" => std::future::pending().await,
        "/test.Whoami/From" => {
            let info = request.extensions().get::<PeerInfo>();
            let remote = info.map(|info| info.remote.to_string()).unwrap_or_default();
            return Ok(Response::new(remote.into_bytes()));
        }
        _ => peer_of(&request)?,
    };
    Ok(Response::new(peer.to_string().into_bytes()))
}

impl NamedService for Whoami {
    const NAME: &'static str = "test.Whoami";
}

impl Service<http::Request<Body>> for Whoami {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let path = request.uri().path().to_owned();
        Box::pin(async move {
            let service = tower::service_fn(move |request| answer(path.clone(), request));
            Ok(tonic::server::Grpc::new(Raw).unary(service, request).await)
        })
    }
}

/// Bytes as they are.
#[derive(Clone, Copy)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, buf: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buf.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, buf: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        Ok(Some(buf.copy_to_bytes(buf.remaining()).to_vec()))
    }
}
