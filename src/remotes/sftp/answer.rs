//! One answer that is on its way, and what kind of answer it has to be.

use std::sync::Arc;

use holdfast_engine::remote::RemoteError;
use tokio::sync::oneshot;

use super::codec::{Attrs, Code, Entry, Handle, Response, Status};
use super::session::{Piece, Shared};
use super::ssh::Child;

/// Why there is no good answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Failure {
    /// The server refuses.
    Says(Status),
    /// The session is at its end.
    Lost(RemoteError),
}

impl From<RemoteError> for Failure {
    fn from(error: RemoteError) -> Failure {
        Failure::Lost(error)
    }
}

impl Failure {
    pub fn code(&self) -> Option<Code> {
        match self {
            Failure::Says(status) => Some(status.code),
            Failure::Lost(_) => None,
        }
    }

    pub fn is_missing(&self) -> bool {
        self.code() == Some(Code::NoSuchFile)
    }
}

pub struct Answer {
    reply: oneshot::Receiver<Response>,
    shared: Arc<Shared>,
    child: Arc<Child>,
}

impl Answer {
    pub(super) fn new(reply: oneshot::Receiver<Response>, shared: Arc<Shared>, child: Arc<Child>) -> Answer {
        Answer { reply, shared, child }
    }

    /// Where a refusal is an error of its own, and anything of the wrong kind ends the session.
    async fn get<T>(self, take: impl FnOnce(Response) -> Option<T>) -> Result<T, Failure> {
        match self.reply.await {
            Err(_) => Err(self.shared.gone().into()),
            Ok(Response::Status(status)) if status.code != Code::Ok => Err(Failure::Says(status)),
            Ok(response) => take(response).ok_or_else(|| {
                let host = self.child.host();
                let why = format!("the server {host} answers something else than what was asked");
                self.shared.fail(&self.child, &why).into()
            }),
        }
    }

    pub async fn done(self) -> Result<(), Failure> {
        self.get(|r| matches!(r, Response::Status(_)).then_some(())).await
    }

    pub async fn handle(self) -> Result<Handle, Failure> {
        self.get(|r| if let Response::Handle(handle) = r { Some(handle) } else { None }).await
    }

    pub async fn attrs(self) -> Result<Attrs, Failure> {
        self.get(|r| if let Response::Attrs(attrs) = r { Some(attrs) } else { None }).await
    }

    pub async fn extended(self) -> Result<Vec<u8>, Failure> {
        self.get(|r| if let Response::Extended(reply) = r { Some(reply) } else { None }).await
    }

    /// `None` at the end.
    pub async fn data(self) -> Result<Piece, Failure> {
        at_end(self.get(|r| if let Response::Data(data) = r { Some(data) } else { None }).await)
    }

    /// `None` at the end.
    pub async fn names(self) -> Result<Option<Vec<Entry>>, Failure> {
        at_end(self.get(|r| if let Response::Names(names) = r { Some(names) } else { None }).await)
    }

    /// The one name that is the answer.
    pub async fn name(self) -> Result<Vec<u8>, Failure> {
        self.get(|r| match r {
            Response::Names(mut names) if names.len() == 1 => names.pop().map(|entry| entry.name),
            _ => None,
        })
        .await
    }
}

fn at_end<T>(answer: Result<T, Failure>) -> Result<Option<T>, Failure> {
    match answer {
        Err(Failure::Says(Status { code: Code::Eof, .. })) => Ok(None),
        other => other.map(Some),
    }
}
