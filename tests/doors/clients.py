"""Talks to a host's doors with Python's own clients: clients.py IMAP-PORT LMTP-PORT. Any surprise is an error."""
import imaplib
import smtplib
import sys

imap_port, lmtp_port = int(sys.argv[1]), int(sys.argv[2])


def ok(answer):
    kind, data = answer
    assert kind == "OK", answer
    return data


def no(answer, text):
    assert answer == ("NO", [text]), answer


def log_in(user):
    imap = imaplib.IMAP4("127.0.0.1", imap_port, timeout=20)
    assert "LITERAL+" in imap.capabilities and "ACL" in imap.capabilities, imap.capabilities
    ok(imap.login(user, "secret"))
    return imap


cyrus = log_in("cyrus")
ok(cyrus.create("user/anna"))
no(cyrus.create("user/anna"), b"Mailbox already exists")
ok(cyrus.create("shared"))
ok(cyrus.setacl("shared", "anna", "lrswip"))
ok(cyrus.setacl("shared", "anyone", "lrsp"))
assert sorted(ok(cyrus.getacl("shared"))[0].split()[1:]) == sorted(b"anna lrswip anyone lrsp".split()), cyrus.getacl("shared")

anna = log_in("anna")
ok(anna.create("INBOX/Sent"))
assert ok(anna.list()) == [
    b'(\\HasChildren) "/" INBOX',
    b'(\\HasNoChildren) "/" INBOX/Sent',
    b'(\\HasNoChildren) "/" shared',
], anna.list()
ok(anna.subscribe("INBOX/Sent"))
assert ok(anna.lsub()) == [b'() "/" INBOX/Sent'], anna.lsub()
ok(anna.append("INBOX/Sent", "(\\Seen)", None, b"Subject: x\r\n\r\ny\r\n"))
assert ok(anna.status("INBOX/Sent", "(MESSAGES)")) == [b"INBOX/Sent (MESSAGES 1)"]
assert ok(anna.select("INBOX/Sent")) == [b"1"]
no(anna.fetch("1", "(FLAGS)"), b"FETCH is not part of a rehearsal")
ok(anna.close())
ok(anna.rename("INBOX/Sent", "INBOX/Old"))
no(anna.select("INBOX/Sent"), b"Mailbox does not exist")
ok(anna.delete("INBOX/Old"))

plain = imaplib.IMAP4("127.0.0.1", imap_port, timeout=20)
ok(plain.authenticate("PLAIN", lambda _: b"anna\0mailproxy\0secret"))
ok(plain.select("INBOX", readonly=True))
plain.logout()

with smtplib.LMTP("127.0.0.1", lmtp_port, timeout=20) as lmtp:
    refused = lmtp.sendmail("a@example.com", ["anna@example.com", "nobody"], b"Subject: x\r\n\r\n.dot\r\n")
    assert list(refused) == ["nobody"] and refused["nobody"][0] == 550, refused
    assert b"5.1.1 User unknown" in refused["nobody"][1], refused
assert ok(anna.status("INBOX", "(MESSAGES)")) == [b"INBOX (MESSAGES 1)"]
assert anna.logout()[0] == "BYE"
cyrus.logout()
print("all as it should be")
