# A certificate is ordered from Pebble, serves, and outlives a restart without another order.
{ lib, ... }:
{
  name = "vaned-acme";

  nodes.acme =
    { modulesPath, ... }:
    {
      imports = [ "${modulesPath}/../tests/common/acme/server" ];
    };

  nodes.edge =
    {
      nodes,
      config,
      pkgs,
      ...
    }:
    {
      environment.systemPackages = [ pkgs.openssl ];
      networking.nameservers = lib.mkForce [ nodes.acme.networking.primaryIPAddress ];
      networking.extraHosts = "${config.networking.primaryIPAddress} www.example.test";
      services.vaned = {
        enable = true;
        openFirewall = true;
        settings.acme = {
          agree_tos = true;
          contact = "mailto:ops@example.test";
          directory = "https://${nodes.acme.test-support.acme.caDomain}/dir";
          ca_file = "${nodes.acme.test-support.acme.caCert}";
        };
        rules.www = {
          site = "www.example.test";
          respond.body = "certified\n";
        };
      };
    };

  testScript =
    { nodes, ... }:
    ''
      authority = "https://${nodes.acme.test-support.acme.caDomain}"

      def serial():
          return edge.succeed(
              "openssl s_client -connect www.example.test:443 -servername www.example.test </dev/null"
              " | openssl x509 -noout -serial"
          )

      acme.start()
      acme.wait_for_unit("network-online.target")
      acme.wait_for_unit("pebble.service")
      edge.start()
      edge.wait_for_unit("vaned.service")

      with subtest("the certificate comes and verifies"):
          edge.wait_until_succeeds(
              "curl --fail --silent --cacert ${nodes.acme.test-support.acme.caCert}"
              f" {authority}:15000/roots/0 --output /tmp/root.pem"
          )
          edge.wait_until_succeeds(
              "curl --fail --silent --cacert /tmp/root.pem https://www.example.test/ | grep certified"
          )

      with subtest("clear text leads there"):
          edge.succeed("curl --silent --head http://www.example.test/ | grep '^location: https://'")

      with subtest("a restart serves the same one"):
          before = serial()
          edge.succeed("systemctl restart vaned.service")
          assert before == serial()
    '';
}
