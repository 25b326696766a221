//! STS: who is asking, in the query protocol.

use crate::World;
use crate::protocols::exchange;

const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded; charset=utf-8");

#[tokio::test(flavor = "multi_thread")]
async fn the_caller_is_the_endpoints_account() {
    let world = World::new().await;
    let (status, head, body) = exchange(&world, "POST /", &[FORM], "Action=GetCallerIdentity&Version=2011-06-15");
    assert_eq!(status, 200, "{body}");
    assert!(head.contains("content-type: text/xml"), "{head}");
    for part in [
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>",
        "<Account>000000000000</Account>",
        "<Arn>arn:aws:iam::000000000000:user/pregao-local</Arn>",
        "<UserId>",
    ] {
        assert!(body.contains(part), "{part} in {body}");
    }
    let id = head.lines().find_map(|line| line.strip_prefix("x-amzn-requestid: ")).expect("an id").to_owned();
    assert!(body.contains(&format!("<RequestId>{id}</RequestId>")), "{id} in {body}");

    let (status, _, body) = exchange(&world, "POST /", &[FORM], "Action=AssumeRole&Version=2011-06-15&RoleArn=x");
    assert_eq!(status, 400);
    for part in [
        "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>",
        "<Code>InvalidAction</Code><Message>AssumeRole is not an operation of this endpoint</Message>",
    ] {
        assert!(body.contains(part), "{part} in {body}");
    }
    let signed = "AWS4-HMAC-SHA256 Credential=A/20260101/us-east-1/sts/aws4_request, SignedHeaders=host, Signature=ab";
    let (status, _, body) = exchange(&world, "GET /?Action=GetCallerIdentity", &[("Authorization", signed)], "");
    assert!(status == 200 && body.contains("<Account>"), "{body}");
    let (status, _, body) =
        exchange(&world, "POST /", &[FORM, ("Host", "evil.example.com")], "Action=GetCallerIdentity");
    assert!(status == 403 && body.contains("<Code>AccessDenied</Code>"), "{body}");
}
