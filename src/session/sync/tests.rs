//! A daemon that asks for everything at once and is slow to take it.

use bytes::BytesMut;
use hyper::Request;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::proto::fsutil::{Packet, packet::PacketType};
use crate::session::grpc::{self, Answer, Requests};
use crate::session::{LocalDir, Services, Slots};

/// More than the HTTP/2 library lets lie in a connection.
const FILES: u32 = 20_000;

fn request(body: Answer) -> Request<Answer> {
    Request::post("http://session/moby.filesync.v1.FileSync/DiffCopy")
        .header("content-type", "application/grpc")
        .header("dir-name", "context")
        .body(body)
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_requests_are_taken_while_no_content_is() {
    let root = tempfile::tempdir().unwrap();
    for number in 0..FILES {
        // Without blocks on the disk, and more together than the connection's window.
        let file = std::fs::File::create(root.path().join(number.to_string())).unwrap();
        file.set_len(16 << 10).unwrap();
    }
    let services = Services::default();
    let context = LocalDir {
        name: "context".into(),
        root: root.path().to_owned(),
    };
    services.add_local(context).unwrap();
    let (ours, daemons) = tokio::io::duplex(1 << 16);
    let served = tokio::spawn(services.serve(ours, Slots::default(), tracing::Span::none()));
    let (mut client, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(daemons))
        .await
        .unwrap();
    tokio::spawn(connection);

    let (asking, body) = grpc::answer(1);
    let answer = client.send_request(request(body)).await.unwrap();
    let mut answer = Requests::new(answer.into_body());
    let mut announced = 0;
    while answer
        .next::<Packet>()
        .await
        .unwrap()
        .unwrap()
        .stat
        .is_some()
    {
        announced += 1;
    }
    assert_eq!(announced, FILES);
    for id in 0..FILES {
        let mut data = BytesMut::new();
        let ask = Packet {
            r#type: PacketType::PacketReq.into(),
            id,
            ..Packet::default()
        };
        grpc::encode(&ask, &mut data);
        asking.send(data.freeze()).await.unwrap();
    }
    // Only now it reads: all of them come.
    let mut ended = 0;
    while ended < FILES {
        let packet: Packet = answer.next().await.unwrap().expect("not cut off");
        assert_eq!(packet.r#type(), PacketType::PacketData);
        ended += u32::from(packet.data.is_empty());
    }
    drop((asking, answer, client));
    served.abort();
}
