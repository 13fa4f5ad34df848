//! What belongs to the hosts in the database is closed to the application.

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use warmlink_tests::database::{Database, connect};
use warmlink_tests::run;
use warmlink_tests::services::{Services, Wanted};

/// Tries `statements` one by one; each must be refused for lack of permission.
async fn assert_barred(client: &Client, statements: &[&str]) {
    for statement in statements {
        let error = client.batch_execute(statement).await.expect_err(statement);
        assert_eq!(
            error.code(),
            Some(&SqlState::INSUFFICIENT_PRIVILEGE),
            "{statement}: {error:?}"
        );
    }
}

/// The hosts' role can use its schema, and the application's cannot, though it
/// owns the database.
async fn assert_apart(application: &str, control: &str) {
    let own = connect(control).await;
    own.batch_execute(
        "CREATE TABLE IF NOT EXISTS warmlink.probe (secret text); \
         INSERT INTO warmlink.probe VALUES ('theirs')",
    )
    .await
    .unwrap();

    let application = connect(application).await;
    assert_barred(
        &application,
        &[
            "SELECT * FROM warmlink.probe",
            "INSERT INTO warmlink.probe VALUES ('ours')",
            "UPDATE warmlink.probe SET secret = 'ours'",
            "DELETE FROM warmlink.probe",
            "DROP TABLE warmlink.probe",
            "CREATE TABLE warmlink.another (x int)",
            "CREATE FUNCTION warmlink.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "GRANT USAGE ON SCHEMA warmlink TO PUBLIC",
            "ALTER SCHEMA warmlink RENAME TO mine",
            "DROP SCHEMA warmlink CASCADE",
            "SET ROLE warmlink_control",
        ],
    )
    .await;
    application
        .batch_execute("CREATE TABLE still_mine (x int); DROP TABLE still_mine")
        .await
        .unwrap();

    let kept = own
        .query_one("SELECT string_agg(secret, ',') FROM warmlink.probe", &[])
        .await
        .unwrap();
    assert_eq!(kept.get::<_, &str>(0), "theirs");
    own.batch_execute("DROP TABLE warmlink.probe")
        .await
        .unwrap();
}

/// Neither a superuser nor anything near it, and not into the application's own.
async fn assert_modest(services: &Services) {
    let admin = connect(services.database_admin_url()).await;
    let row = admin
        .query_one(
            "SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls, \
                    EXISTS (SELECT FROM pg_auth_members m WHERE m.member = r.oid OR m.roleid = r.oid) \
             FROM pg_roles r WHERE rolname = 'warmlink_control'",
            &[],
        )
        .await
        .unwrap();
    assert!(!row.get::<_, bool>(0), "it has powers that it needs not");
    assert!(!row.get::<_, bool>(1), "it is nobody's member");
    let own = connect(services.control_url()).await;
    assert_barred(
        &own,
        &["CREATE TABLE public.theirs (x int)", "CREATE SCHEMA more"],
    )
    .await;
}

#[test]
fn private_servers_keep_the_hosts_schema_from_the_application() {
    run(async {
        let services = Wanted::default().postgres(&[]).start().await;
        assert_apart(services.database_url(), services.control_url()).await;
        assert_modest(&services).await;
        let database = Database::create_on(&services).await;
        assert_apart(database.url(), database.control_url()).await;
        services.stop().await;
    });
}

/// A state folder that was made before there was a control role gets one, and
/// keeps it from then on.
#[test]
fn a_state_folder_without_the_role_gets_it() {
    run(async {
        let services = Wanted::default().postgres(&[]).start().await;
        let application = connect(services.database_url()).await;
        application
            .batch_execute("CREATE TABLE kept (x int); INSERT INTO kept VALUES (7)")
            .await
            .unwrap();
        let admin = connect(services.database_admin_url()).await;
        admin
            .batch_execute(
                "DROP SCHEMA warmlink CASCADE; DROP OWNED BY warmlink_control; \
                 DROP ROLE warmlink_control",
            )
            .await
            .unwrap();
        drop((application, admin));
        let state = services.stop().await;
        std::fs::remove_file(state.path().join("postgres/control.password")).unwrap();

        let services = Wanted::default().postgres(&[]).start_in(state).await;
        assert_apart(services.database_url(), services.control_url()).await;
        let application = connect(services.database_url()).await;
        let row = application
            .query_one("SELECT x FROM kept", &[])
            .await
            .unwrap();
        assert_eq!(row.get::<_, i32>(0), 7);
        let own = connect(services.control_url()).await;
        own.batch_execute("CREATE TABLE warmlink.kept (x int)")
            .await
            .unwrap();
        drop((application, own));
        let state = services.stop().await;

        let services = Wanted::default().postgres(&[]).start_in(state).await;
        let own = connect(services.control_url()).await;
        own.batch_execute("SELECT x FROM warmlink.kept")
            .await
            .unwrap();
        services.stop().await;
    });
}
