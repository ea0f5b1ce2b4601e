//! Servers in front of a node or the witness, with that party's certificate: they note every
//! message that passes, as protobuf bytes, and may change it on its way.
//!
//! TLS lets nobody else in between, so this is where a test can see what the coordinator and the
//! witness see, and where a party can be made to lie while everything else about it is real.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use futures::stream::{self, BoxStream, StreamExt as _};
use model::{Peer, Role};
use proto::v1::node_client::NodeClient;
use proto::v1::node_server::{Node, NodeServer};
use proto::v1::witness_client::WitnessClient;
use proto::v1::witness_server::{Witness, WitnessServer};
use proto::{Message, v1};
use service::{Clock, ReloadingIdentity, ServeLimits, Shutdown};
use tests::{Region, peer, wait};
use tokio::task::{JoinHandle, JoinSet};
use tonic::service::Routes;
use tonic::transport::Channel;
use tonic::{Request, Response, Status, Streaming};

/// Largest message that a front takes.
const MAX_BYTES: usize = 64 << 20;

/// What one party was told and what it said, message by message.
#[derive(Debug, Clone, Default)]
pub(super) struct Spoken {
    pub(super) heard: Vec<Vec<u8>>,
    pub(super) said: Vec<Vec<u8>>,
    /// The cells of uploads, each whole.
    pub(super) uploads: Vec<Vec<u8>>,
    /// What was offered.
    pub(super) offers: Vec<v1::Offer>,
    /// What the witness opened, part by part, of one round after the other.
    pub(super) opened: Vec<v1::OpenedPart>,
}

type Tape = Arc<Mutex<Spoken>>;
/// Changes an upload on its way.
pub(super) type UploadTwist =
    dyn Fn(&v1::Offer, Vec<v1::UploadPart>) -> Vec<v1::UploadPart> + Send + Sync;
/// Changes what the witness opens.
pub(super) type OpenedTwist = dyn Fn(Vec<v1::OpenedPart>) -> Vec<v1::OpenedPart> + Send + Sync;
type Swap<T> = Arc<Mutex<Option<Arc<T>>>>;

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running front.
pub(super) struct Front<T: ?Sized> {
    tape: Tape,
    twist: Swap<T>,
    task: JoinHandle<()>,
}

impl<T: ?Sized> Drop for Front<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<T: ?Sized> Front<T> {
    /// What passed since the last time.
    pub(super) fn take(&self) -> Spoken {
        std::mem::take(&mut locked(&self.tape))
    }

    /// From now on changes what passes; `None` is honest again.
    pub(super) fn twist(&self, twist: Option<Arc<T>>) {
        *locked(&self.twist) = twist;
    }
}

/// Puts a front before a node of a proxied region, and waits until the coordinator has found it.
pub(super) async fn before_node(region: &Region, id: &str) -> Front<UploadTwist> {
    let inner = region.node_client_as(id, &peer(Role::Coordinator, "main")).unwrap();
    let (tape, twist) = (Tape::default(), Swap::default());
    let front = NodeFront { inner, tape: Arc::clone(&tape), twist: Arc::clone(&twist) };
    let server = NodeServer::new(front).max_decoding_message_size(MAX_BYTES);
    let (address, task) = serve(region, &peer(Role::Node, id), Routes::new(server)).await;
    region.site(id).proxy().redirect(address);
    wait::until_some("the coordinator reaches the front", || async {
        let _ = region.hospitals().await;
        (!locked(&tape).heard.is_empty()).then_some(())
    })
    .await;
    Front { tape, twist, task }
}

/// Puts a front before the witness of a proxied region. A question that has to be asked first
/// makes the coordinator connect.
pub(super) async fn before_witness(region: &Region, question: &str) -> Front<OpenedTwist> {
    let inner = region.witness_client_as(&peer(Role::Coordinator, "main")).unwrap();
    let (tape, twist) = (Tape::default(), Swap::default());
    let front = WitnessFront { inner, tape: Arc::clone(&tape), twist: Arc::clone(&twist) };
    let server = WitnessServer::new(front).max_decoding_message_size(MAX_BYTES);
    let (address, task) = serve(region, &peer(Role::Witness, "main"), Routes::new(server)).await;
    region.witness_proxy().redirect(address);
    wait::until_some("the coordinator reaches the front", || async {
        let answered = region.ask(question).await.is_ok();
        (answered && !locked(&tape).opened.is_empty()).then_some(())
    })
    .await;
    Front { tape, twist, task }
}

async fn serve(region: &Region, who: &Peer, routes: Routes) -> (SocketAddr, JoinHandle<()>) {
    let identity = region.identity_of(who).unwrap();
    let identity = ReloadingIdentity::open(identity, Clock::system()).unwrap();
    let (listener, address) = service::role::listen(who.role(), "127.0.0.1:0").await.unwrap();
    let serving =
        service::serve(listener, identity, routes, ServeLimits::default(), Shutdown::new());
    // A set, so that aborting the task ends what it serves.
    let task = tokio::spawn(async move {
        let mut set = JoinSet::new();
        set.spawn(serving);
        let _ = set.join_next().await;
    });
    (address, task)
}

fn hear(tape: &Tape, message: &impl Message) {
    locked(tape).heard.push(message.encode_to_vec());
}

fn say(tape: &Tape, message: &impl Message) {
    locked(tape).said.push(message.encode_to_vec());
}

/// Forwards one message, and its answer.
async fn forward<M: Message, R: Message, F>(
    tape: &Tape,
    request: Request<M>,
    call: impl FnOnce(M) -> F,
) -> Result<Response<R>, Status>
where
    F: Future<Output = Result<Response<R>, Status>>,
{
    let message = request.into_inner();
    hear(tape, &message);
    let answer = call(message).await?.into_inner();
    say(tape, &answer);
    Ok(Response::new(answer))
}

async fn collected<M>(mut stream: Streaming<M>) -> Result<Vec<M>, Status> {
    let mut messages = Vec::new();
    while let Some(message) = stream.message().await? {
        messages.push(message);
    }
    Ok(messages)
}

type Out<M> = BoxStream<'static, Result<M, Status>>;

fn out<M: Message + Send + 'static>(tape: &Tape, messages: Vec<M>) -> Response<Out<M>> {
    messages.iter().for_each(|message| say(tape, message));
    Response::new(stream::iter(messages.into_iter().map(Ok)).boxed())
}

/// The cells of an upload.
pub(super) fn cells_of(parts: &[v1::UploadPart]) -> Vec<u8> {
    let cells = parts.iter().filter_map(|part| match &part.part {
        Some(v1::upload_part::Part::Cells(part)) => Some(part.cells.as_slice()),
        _ => None,
    });
    cells.collect::<Vec<_>>().concat()
}

struct NodeFront {
    inner: NodeClient<Channel>,
    tape: Tape,
    twist: Swap<UploadTwist>,
}

#[tonic::async_trait]
impl Node for NodeFront {
    async fn describe(
        &self,
        request: Request<v1::DescribeRequest>,
    ) -> Result<Response<v1::DescribeResponse>, Status> {
        let mut inner = self.inner.clone();
        forward(&self.tape, request, |m| async move { inner.describe(m).await }).await
    }

    type ReleaseStream = Out<v1::ReleaseChunk>;

    async fn release(
        &self,
        request: Request<v1::ReleaseRequest>,
    ) -> Result<Response<Self::ReleaseStream>, Status> {
        let message = request.into_inner();
        hear(&self.tape, &message);
        let chunks = self.inner.clone().release(message).await?.into_inner();
        Ok(out(&self.tape, collected(chunks).await?))
    }

    type JoinStream = Out<v1::UploadPart>;

    async fn join(
        &self,
        request: Request<v1::Offer>,
    ) -> Result<Response<Self::JoinStream>, Status> {
        let offer = request.into_inner();
        hear(&self.tape, &offer);
        locked(&self.tape).offers.push(offer.clone());
        let parts = self.inner.clone().join(offer.clone()).await?.into_inner();
        let mut parts = collected(parts).await?;
        let twist = locked(&self.twist).clone();
        if let Some(twist) = twist {
            parts = twist(&offer, parts);
        }
        locked(&self.tape).uploads.push(cells_of(&parts));
        Ok(out(&self.tape, parts))
    }

    async fn name(
        &self,
        request: Request<v1::NameRequest>,
    ) -> Result<Response<v1::NameResponse>, Status> {
        let mut inner = self.inner.clone();
        forward(&self.tape, request, |m| async move { inner.name(m).await }).await
    }

    async fn checkpoint(
        &self,
        request: Request<v1::CheckpointRequest>,
    ) -> Result<Response<v1::CheckpointResponse>, Status> {
        let mut inner = self.inner.clone();
        forward(&self.tape, request, |m| async move { inner.checkpoint(m).await }).await
    }

    async fn cosigned(
        &self,
        request: Request<v1::CosignedNote>,
    ) -> Result<Response<v1::CosignedAck>, Status> {
        let mut inner = self.inner.clone();
        forward(&self.tape, request, |m| async move { inner.cosigned(m).await }).await
    }

    async fn ping(
        &self,
        request: Request<v1::PingRequest>,
    ) -> Result<Response<v1::PingResponse>, Status> {
        let mut inner = self.inner.clone();
        forward(&self.tape, request, |m| async move { inner.ping(m).await }).await
    }

    async fn consider(
        &self,
        request: Request<v1::Project>,
    ) -> Result<Response<v1::Considered>, Status> {
        let mut inner = self.inner.clone();
        forward(&self.tape, request, |m| async move { inner.consider(m).await }).await
    }
}

struct WitnessFront {
    inner: WitnessClient<Channel>,
    tape: Tape,
    twist: Swap<OpenedTwist>,
}

#[tonic::async_trait]
impl Witness for WitnessFront {
    async fn countersign(
        &self,
        request: Request<v1::Proposal>,
    ) -> Result<Response<v1::Countersigned>, Status> {
        let mut inner = self.inner.clone();
        forward(&self.tape, request, |m| async move { inner.countersign(m).await }).await
    }

    type OpenStream = Out<v1::OpenedPart>;

    async fn open(
        &self,
        request: Request<Streaming<v1::OpenPart>>,
    ) -> Result<Response<Self::OpenStream>, Status> {
        let parts = collected(request.into_inner()).await?;
        parts.iter().for_each(|part| hear(&self.tape, part));
        let opened = self.inner.clone().open(stream::iter(parts)).await?.into_inner();
        let mut opened = collected(opened).await?;
        let twist = locked(&self.twist).clone();
        if let Some(twist) = twist {
            opened = twist(opened);
        }
        locked(&self.tape).opened.extend(opened.iter().cloned());
        Ok(out(&self.tape, opened))
    }

    async fn unite(
        &self,
        request: Request<v1::UniteRequest>,
    ) -> Result<Response<v1::UniteResponse>, Status> {
        let mut inner = self.inner.clone();
        forward(&self.tape, request, |m| async move { inner.unite(m).await }).await
    }

    async fn cosign(
        &self,
        request: Request<v1::CosignRequest>,
    ) -> Result<Response<v1::CosignResponse>, Status> {
        let mut inner = self.inner.clone();
        forward(&self.tape, request, |m| async move { inner.cosign(m).await }).await
    }

    async fn checkpoint(
        &self,
        request: Request<v1::CheckpointRequest>,
    ) -> Result<Response<v1::CheckpointResponse>, Status> {
        let mut inner = self.inner.clone();
        forward(&self.tape, request, |m| async move { inner.checkpoint(m).await }).await
    }

    async fn cosigned(
        &self,
        request: Request<v1::CosignedNote>,
    ) -> Result<Response<v1::CosignedAck>, Status> {
        let mut inner = self.inner.clone();
        forward(&self.tape, request, |m| async move { inner.cosigned(m).await }).await
    }
}
