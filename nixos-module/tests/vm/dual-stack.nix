# Each family has a listener of its own, and one that is left out is refused.
{ lib, ... }:
let
  addressed = ipv4: ipv6: {
    networking.interfaces.eth1 = {
      # In place of those that the test driver gives.
      ipv4.addresses = lib.mkForce [
        {
          address = ipv4;
          prefixLength = 24;
        }
      ];
      ipv6.addresses = lib.mkForce [
        {
          address = ipv6;
          prefixLength = 64;
        }
      ];
    };
  };
  rules.front = {
    listen = ":80";
    respond.body = "from {remote.ip}\n";
  };
in
{
  name = "vaned-dual-stack";

  nodes.both = {
    imports = [ (addressed "192.168.1.11" "fd00::11") ];
    services.vaned = {
      enable = true;
      openFirewall = true;
      inherit rules;
    };
  };

  nodes.old = {
    imports = [ (addressed "192.168.1.12" "fd00::12") ];
    services.vaned = {
      enable = true;
      openFirewall = true;
      inherit rules;
      listen.streams = [ "0.0.0.0:80" ];
      environment.VANE_BIND_IPV6 = "0";
    };
  };

  nodes.client.imports = [ (addressed "192.168.1.20" "fd00::20") ];

  testScript = ''
    start_all()
    both.wait_for_unit("vaned.service")
    old.wait_for_unit("vaned.service")
    client.wait_for_unit("network-online.target")

    def asked(url):
        return client.succeed(f"curl --fail --silent '{url}'").strip()

    with subtest("both families, each seen as what it is"):
        client.wait_until_succeeds("curl --fail --silent 'http://[fd00::11]/'")
        assert asked("http://192.168.1.11/") == "from 192.168.1.20"
        assert asked("http://[fd00::11]/") == "from fd00::20"

    with subtest("no socket takes the other family"):
        both.succeed("ss --listening --tcp --numeric --extended | grep '\\[::\\]:80 .*v6only:1'")
        assert both.succeed("ss --listening --tcp --numeric | grep --count ':80 '").strip() == "2"

    with subtest("one family alone"):
        assert asked("http://192.168.1.12/") == "from 192.168.1.20"
        client.fail("curl --silent --max-time 5 'http://[fd00::12]/'")
  '';
}
