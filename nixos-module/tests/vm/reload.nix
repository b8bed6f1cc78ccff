# A changed configuration is a reload, a changed setting a restart, and neither refuses a client.
{ lib, ... }:
{
  name = "vaned-reload";

  nodes.machine = {
    services.vaned = {
      enable = true;
      rules.front = {
        listen = ":80";
        respond.body = "one\n";
      };
    };
    specialisation.two.configuration.services.vaned.rules.front.respond.body = lib.mkForce "two\n";
    specialisation.louder.configuration.services.vaned.environment.VANE_LOG = "debug";
  };

  testScript =
    { nodes, ... }:
    ''
      system = "${nodes.machine.system.build.toplevel}"

      def pid():
          return machine.succeed("systemctl show --value -p MainPID vaned").strip()

      def switch(to):
          return machine.succeed(f"{to}/bin/switch-to-configuration test 2>&1")

      machine.start()
      machine.wait_for_unit("vaned.service")
      machine.succeed("curl --fail --silent http://127.0.0.1/ | grep --line-regexp one")
      before = pid()

      with subtest("clients come all the while"):
          machine.succeed(
              "systemd-run --unit=clients --setenv=PATH=/run/current-system/sw/bin sh -c "
              "'while ! test -e /tmp/enough; do"
              " curl --fail --silent --output /dev/null http://127.0.0.1/ && echo served || echo lost;"
              " done'"
          )

      with subtest("a changed rule reloads"):
          said = switch(f"{system}/specialisation/two")
          assert "vaned.service" in said, said
          machine.wait_until_succeeds("curl --fail --silent http://127.0.0.1/ | grep --line-regexp two")
          assert pid() == before

      with subtest("the way back as well"):
          switch(system)
          machine.wait_until_succeeds("curl --fail --silent http://127.0.0.1/ | grep --line-regexp one")
          assert pid() == before

      with subtest("a changed setting restarts and the sockets stay open"):
          opened = machine.succeed("systemctl show --value -p ActiveEnterTimestamp vaned.socket")
          switch(f"{system}/specialisation/louder")
          machine.wait_for_unit("vaned.service")
          assert pid() != before
          assert opened == machine.succeed("systemctl show --value -p ActiveEnterTimestamp vaned.socket")

      with subtest("nobody was refused"):
          machine.succeed("touch /tmp/enough")
          machine.wait_until_fails("systemctl is-active clients")
          machine.succeed("journalctl --unit clients --output cat | grep --quiet served")
          machine.fail("journalctl --unit clients --output cat | grep lost")

      with subtest("members of the group manage it"):
          machine.succeed("vane --socket /run/vaned.sock ping")
          assert "root vaned 660" in machine.succeed("stat --format '%U %G %a' /run/vaned.sock")
    '';
}
