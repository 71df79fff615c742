#!/usr/bin/env ruby
# Debian's Sidekiq and redis-rb. The file is the program that enqueues and, loaded by `sidekiq -r`, the workers: jobs,
# schedules, retries, queues with weights and the counts its dashboard shows; then the primary is killed.

require 'sidekiq'
require 'sidekiq/api'

# Sidekiq 6 asks redis-rb 4 in ways that it announces it will not answer for ever.
Redis.silence_deprecations = true

PORT = ENV.fetch('LOCKSTEP_PORT').to_i
REDIS = { url: "redis://127.0.0.1:#{PORT}/0", reconnect_attempts: 20, reconnect_delay: 0.05, reconnect_delay_max: 0.5 }.freeze

Sidekiq.configure_client { |config| config.redis = REDIS }
Sidekiq.configure_server do |config|
  config.redis = REDIS
  config.options[:poll_interval_average] = 0.3
end

class Note
  include Sidekiq::Worker
  sidekiq_options queue: 'mail', retry: 5

  def perform(number)
    File.open(ENV.fetch('LOCKSTEP_NOTES'), 'a') { |file| file.puts(number) }
  end
end

class Stubborn
  include Sidekiq::Worker
  sidekiq_options queue: 'mail', retry: 5
  sidekiq_retry_in { 1 }

  def perform(key)
    tries = Sidekiq.redis { |redis| redis.incr(key) }
    raise 'not yet' if tries < 2
  end
end

class Hopeless
  include Sidekiq::Worker
  sidekiq_options queue: 'mail', retry: 0, dead: true

  def perform
    raise 'no hope'
  end
end

# What follows is the enqueuing program's.
return unless $PROGRAM_NAME == __FILE__

require 'tempfile'

$stdout.sync = true
$failed = 0

def check(what, holds)
  $failed += 1 unless holds
  puts "#{holds ? 'ok' : 'FAILED'} #{what}"
end

def now
  Process.clock_gettime(Process::CLOCK_MONOTONIC)
end

def soon(what, seconds = 40)
  deadline = now + seconds
  why = ''
  loop do
    begin
      return check(what, true) if yield
    rescue Redis::BaseConnectionError => e
      why = " (#{e.message})"
    end
    return check(what + why, false) if now > deadline

    sleep 0.02
  end
end

def patiently
  tries = 0
  begin
    yield
  rescue Redis::BaseConnectionError
    raise if (tries += 1) > 200

    sleep 0.05
    retry
  end
end

def start_worker(log)
  program = Gem.find_files('../bin/sidekiq').first || '/usr/bin/sidekiq'
  command = File.exist?('/usr/bin/sidekiq') ? '/usr/bin/sidekiq' : program
  spawn('ruby', command, '-r', File.expand_path(__FILE__), '-c', '4', '-q', 'mail,3', '-q', 'low,1', '-t', '2', out: log, err: log, in: File::NULL)
end

def noted(notes)
  File.readlines(notes).map(&:to_i)
end

def redis_rb
  redis = Redis.new(url: REDIS[:url])
  redis.mapped_hmset('hash', { 'name' => 'Ada', 'sent' => 1 })
  check('a hash is a hash', redis.hgetall('hash') == { 'name' => 'Ada', 'sent' => '1' })
  check('a transaction replies to each command', redis.multi { |m| m.incrby('counter', 41); m.incr('counter') } == [41, 42])
  check('a pipeline too', redis.pipelined { |p| p.set('a', 1); p.get('a') } == %w[OK 1])
  check('a script', redis.eval('return {KEYS[1], ARGV[1] + 1}', keys: ['k'], argv: [2]) == ['k', 3])
  redis.zadd('scores', [[1.5, 'a'], [2, 'b']])
  check('scores are numbers', redis.zrange('scores', 0, -1, with_scores: true) == [['a', 1.5], ['b', 2.0]])
  200.times { |n| redis.set("scan:#{n}", n) }
  check('a scan finds all keys', redis.scan_each(match: 'scan:*').to_a.uniq.size == 200)
  redis.close
end

def plain(notes)
  Note.perform_in(3600, -1)
  later = Note.perform_in(3600, -2)
  check('scheduled jobs are counted', Sidekiq::ScheduledSet.new.size == 2)
  Sidekiq::ScheduledSet.new.find_job(later).delete
  check('and can be deleted', Sidekiq::ScheduledSet.new.size == 1)
  Sidekiq::ScheduledSet.new.clear
  20.times { |n| Note.perform_async(n) }
  Sidekiq::Client.push_bulk('class' => Note, 'args' => (20...50).map { |n| [n] })
  Note.set(queue: 'low').perform_async(50)
  soon('jobs are done') { noted(notes).sort == (0..50).to_a }
  started = now
  Note.perform_in(1, 51)
  soon('a scheduled one too') { noted(notes).include?(51) }
  check('and not too early', now - started >= 0.9)
  Stubborn.perform_async('tries')
  soon('a job that fails is tried again') { Sidekiq.redis { |redis| redis.get('tries') } == '2' }
  soon('and leaves the retries') { Sidekiq::RetrySet.new.size.zero? }
  Hopeless.perform_async
  soon('a hopeless one is dead') { Sidekiq::DeadSet.new.size == 1 }
  check('with its reason', Sidekiq::DeadSet.new.first['error_message'] == 'no hope')
  soon('one process is seen') { Sidekiq::ProcessSet.new.size == 1 }
  soon('what was done is counted') { Sidekiq::Stats.new.processed >= 50 && Sidekiq::Stats.new.failed >= 2 }
end

def failure(notes)
  numbers = []
  send_for = lambda do |seconds|
    deadline = now + seconds
    while now < deadline
      number = 1000 + numbers.size
      patiently { (number % 7).zero? ? Note.perform_in(0.3, number) : Note.perform_async(number) }
      numbers << number
      sleep 0.005
    end
  end
  send_for.call(0.6)
  before = numbers.size
  puts 'fail over'
  $stdin.gets
  send_for.call(0.6)
  check("jobs were added before (#{before}) and after the primary died (#{numbers.size})", before > 10 && numbers.size > before + 10)
  # Sidekiq takes jobs with BRPOP: those on their way to its four threads when the connections break are lost, on any server.
  soon('every acknowledged job is done, but for those on their way') { (numbers - noted(notes)).size <= 4 }
end

notes = Tempfile.new('notes')
log = Tempfile.new('log')
ENV['LOCKSTEP_NOTES'] = notes.path
redis_rb
worker = start_worker(log.path)
begin
  plain(notes.path)
  failure(notes.path)
ensure
  Process.kill('TERM', worker)
  Process.wait(worker)
  puts File.read(log.path)[-3000..] || File.read(log.path) if $failed.positive?
end
exit($failed.zero? ? 0 : 1)
