`uilog config` prints what `hg config` prints, byte for byte, with the same
exit status.

  $ . "$TESTDIR/helpers/setup.sh"
Before Mercurial 6.5, only Mercurial itself knows its defaults.

  $ defaults=`"$PYTHON" -c 'if True:
  >     import os, mercurial
  >     package = os.path.dirname(mercurial.__file__)
  >     print(os.path.exists(os.path.join(package, "configitems.toml")))'`
  $ same() {
  >     hg config "$@" > $TESTTMP/hg 2> $TESTTMP/hg.err
  >     hgs=$?
  >     uilog config "$@" > $TESTTMP/uilog 2> $TESTTMP/uilog.err
  >     ours=$?
  >     if test $defaults = False; then
  >         sed -i '/^  "defaultvalue": /d' $TESTTMP/hg
  >     fi
  >     cmp $TESTTMP/hg $TESTTMP/uilog && cmp $TESTTMP/hg.err $TESTTMP/uilog.err
  >     test $hgs = $ours || echo "exit status: hg $hgs, uilog $ours"
  > }
  $ hg init repo
  $ cd repo

(hg's own tests switch on exit statuses that tell more.)

  $ cat >> $HGRCPATH << 'END'
  > [ui]
  > detailed-exit-code = no
  > username = caf\xe9 <joe@example.com> (esc)
  > [logtoprocess]
  > commandfinish = first line
  >   second line
  > command = echo "$MSG1" # comment
  > [paths]
  > default = ../other
  > other = ~/x
  > [section]
  > list = a, "b c"
  > empty =
  > END
  $ cat > .hg/hgrc << 'END'
  > %include more.rc
  > %include no-such-file.rc
  > [section]
  > list = of the repository
  > %unset empty
  > END
  $ printf '[section]\r\nincluded = yes\r\n' > .hg/more.rc

Everything, sections, items

  $ same
  $ wc -l < $TESTTMP/uilog | tr -d ' ' > $TESTTMP/lines
  $ test `cat $TESTTMP/lines` -gt 10
  $ same logtoprocess
  $ cat $TESTTMP/uilog
  logtoprocess.commandfinish=first line\nsecond line
  logtoprocess.command=echo "$MSG1" # comment
  $ same section.list
  $ cat $TESTTMP/uilog
  of the repository
  $ same section.list ui.username
  $ same section paths
  $ same paths.default
  $ same section.no-such-item
  $ uilog config section.no-such-item
  [1]
  $ same no-such-section

Where from

  $ same --source
  $ same --source section
  $ cat $TESTTMP/uilog
  $TESTTMP/repo/.hg/more.rc:2: section.included=yes
  $TESTTMP/repo/.hg/hgrc:4: section.list=of the repository
  $ same --source section.included
  $ same --source ui.username

Other configuration

  $ same --config section.list=x --config new.item=1 section new
  $ same --config 'malformed'
  $ same --cwd .. section
  $ same --cwd .. -R repo section
  $ same -R no-such-repository
  $ cat $TESTTMP/uilog.err
  abort: repository no-such-repository not found
  $ HGPLAIN=1 same
  $ HGPLAIN=1 HGPLAINEXCEPT=alias same
  $ HGRCPATH= same section
  $ EDITOR=ed PAGER=more same --source ui pager

For programs

  $ same -T json
  $ same -T json section.list
  $ sed '/^  "defaultvalue": null,$/d' $TESTTMP/uilog
  [
   {
    "name": "section.list",
    "source": "$TESTTMP/repo/.hg/hgrc:4",
    "value": "of the repository"
   }
  ]
  $ same -T json no-such-section

The default of some is the encoding of texts, which Python works out.

  $ printf '[web]\nencoding = latin-9\n' > $TESTTMP/web.rc
  $ web() {
  >     HGRCPATH=$TESTTMP/web.rc env "$@" uilog config -T json web.encoding \
  >         > $TESTTMP/uilog
  >     HGRCPATH=$TESTTMP/web.rc env "$@" hg config -T json web.encoding \
  >         > $TESTTMP/hg
  >     test $defaults = True || sed -i '/^  "defaultvalue": /d' $TESTTMP/hg
  >     cmp $TESTTMP/hg $TESTTMP/uilog && grep -c web.encoding $TESTTMP/uilog
  > }
  $ web HGENCODING=utf-8
  1
  $ web HGENCODING=
  1
  $ web HGENCODING= LC_ALL=C.UTF-8
  1

What hg would not run with

  $ echo broken >> .hg/more.rc
  $ same
  $ cat $TESTTMP/uilog.err
  config error at $TESTTMP/repo/.hg/more.rc:3: broken
  $ uilog config
  config error at $TESTTMP/repo/.hg/more.rc:3: broken
  [255]
