//! A WebSocket over a stream (RFC 8441): its octets lie in DATA frames, else it is like any other.
use crate::conn::{Layer, Stage};
use crate::reactor::{READ_BYTES, Reactor};
use crate::serve::Cursor;
use crate::token::Token;
use rustix::event::epoll::EventFlags;
use wire::websocket::Handshake;

impl Reactor {
    /// Ends the handshake with 200; false when the stream is reset.
    pub(crate) fn open_tunnel(
        &mut self,
        token: Token,
        handshake: &Handshake,
        rendered: &[u8],
        packs: bool,
    ) -> bool {
        let mut fields = vec![];
        handshake.write(&mut fields, packs);
        let conn = &mut self.conns[token.index as usize];
        let Layer::Stream(stream) = &mut conn.layer else { return false };
        let opened = stream.open_tunnel(&[rendered, &fields, &self.date]).is_ok();
        if opened {
            self.touch_parent(token);
        } else {
            self.drop_stream(token);
        }
        opened
    }

    /// A stream was waked by its connection, which may not be gone on with before it is done.
    pub(crate) fn wake_stream(&mut self, slot: Token) {
        if self.is_socket(slot) {
            self.ready.push_back((slot, EventFlags::empty()));
        } else {
            self.progress(slot);
        }
    }

    /// A stream's turn.
    pub(crate) fn dispatch_stream(&mut self, token: Token) {
        if !self.is_socket(token) {
            return self.progress(token);
        }
        if self.open(token).is_some_and(|conn| !conn.outbox.is_empty()) {
            self.flush_stream(token);
        }
        self.read_tunnel(token);
    }

    /// Takes what the peer has sent, unless the socket is held: the window holds up the rest.
    fn read_tunnel(&mut self, token: Token) {
        let Some(conn) = self.conn(token).filter(|conn| conn.stage == Stage::Socket) else {
            return;
        };
        let (Some(socket), Layer::Stream(stream)) = (&conn.socket, &mut conn.layer) else {
            return;
        };
        if socket.is_held() {
            if stream.is_reset() {
                self.drop_stream(token);
            }
            return;
        }
        let mut buffer = std::mem::take(&mut conn.inbound);
        let kept = buffer.len();
        let Ok(ended) = stream.receive_octets(&mut buffer, READ_BYTES) else {
            return self.drop_stream(token);
        };
        conn.eof = ended;
        let end = buffer.len();
        if end == kept && !socket.behind {
            conn.inbound = buffer;
            if ended {
                self.close(token);
            }
            return;
        }
        self.cursor = Some(Cursor::kept(token, buffer, end >= READ_BYTES));
    }
}
